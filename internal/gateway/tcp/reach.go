package tcp

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/droverhq/drover/internal/gateway/pool"
	"github.com/droverhq/drover/internal/gateway/upstream"
)

// maxRefused is how often a session may find nobody listening, and wait for
// somebody to, before it tries each member once more at most.
const maxRefused = 32

// reach claims a member and connects to it. No byte of the client's has been
// taken yet: whatever goes wrong, another member can have the session.
func (s *session) reach() error {
	s.config = s.front.config.Load()
	s.pool = s.config.Pool
	deadline := time.Now().Add(s.config.QueueTimeout)
	for {
		err := s.attempt(deadline)
		if !errors.As(err, new(notReached)) {
			return err
		}
		s.retried = true
	}
}

// notReached is the error of an attempt after which another one may do better.
type notReached struct{ error }

func (s *session) attempt(deadline time.Time) error {
	ctx, cancel := context.WithCancel(s.front.over)
	defer cancel()
	s.mu.Lock()
	s.broken, s.cancel = false, cancel // from the claim on they are Interrupt's
	s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.claimMember(ctx, deadline); err != nil {
		return err
	}
	m := s.claim.Member
	s.attempts++
	c, err := m.Backend.DialTCP(ctx)
	if err == nil {
		if err = s.join(c); err == nil {
			return nil
		}
		_ = c.Close()
	}
	s.blame(m, err)
	s.pool.Release(&s.claim, false)
	return notReached{err}
}

// claimMember claims one. A pool that was closed meanwhile means that the
// documents changed: the session goes where they say now.
func (s *session) claimMember(ctx context.Context, deadline time.Time) error {
	for {
		err := s.pool.Claim(ctx, &s.claim, s, deadline, s.tried)
		c := s.front.config.Load()
		if !errors.Is(err, pool.ErrClosed) || c == s.config {
			return err
		}
		s.config, s.pool = c, c.Pool
	}
}

// join makes c the session's connection to its process, unless that was taken away.
func (s *session) join(c *net.TCPConn) error {
	e, err := newEnd(c)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return context.Canceled
	}
	s.backend = e
	s.mark()
	return nil
}

// blame takes a member out of the choice when it could not be connected to.
func (s *session) blame(m *pool.Member, err error) {
	s.mu.Lock()
	broken := s.broken
	s.mu.Unlock()
	switch {
	case broken: // it is out of service already
	case !upstream.Unreachable(err):
		s.tried = append(s.tried, m)
	default:
		if s.refused++; s.refused > maxRefused {
			s.tried = append(s.tried, m)
		}
		s.pool.Refuse(m)
	}
}
