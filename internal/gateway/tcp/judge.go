package tcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/droverhq/drover/internal/gateway/accesslog"
	"github.com/droverhq/drover/internal/gateway/pool"
	"github.com/droverhq/drover/internal/gateway/tally"
)

// outcome is what is known of a session that was joined to a process.
type outcome struct {
	clientDone   bool  // it finished in order
	clientGone   bool  // it broke off
	backendDone  bool  // the process finished in order
	backendFirst bool  // it finished, or broke, before the client had finished
	broke        error // what broke the process's connection
	silent       bool  // for too long
	leaving      bool  // a drain's time-out came
	unanswered   bool  // when it came, not all that the client sent had reached the process, or its answer the client
	died         bool  // the process did
}

// judge says how a session is counted. It is the only place that does.
func (o outcome) judge(cut pool.Cut) tally.End {
	switch {
	case o.clientGone:
		return tally.Abandoned
	case o.died, cut == pool.CutForced, o.leaving && o.unanswered:
		return tally.CutOff
	case o.leaving:
		return tally.Ended
	case o.silent:
		return tally.Abandoned
	case o.broke != nil && !errors.Is(o.broke, syscall.ECONNRESET):
		return tally.Failed // an end by reset is the process's own choice
	}
	return tally.Answered
}

// explain finds out whether the session ended because its process did.
func (s *session) explain() {
	m := s.claim.Member
	// Of an address whose process is not known it would take connecting to it again,
	// which is too much for each connection that ends in order.
	if !s.o.backendFirst || s.o.broke == nil && !m.Backend.Local() {
		return
	}
	if s.o.died = m.Backend.Died(context.Background()); s.o.died {
		s.pool.Refuse(m)
	}
}

// unserved counts a session that no member took.
func (s *session) unserved(err error) {
	if s.front.over.Err() != nil {
		s.count(tally.CutOff)
		return
	}
	s.count(tally.Failed)
	s.front.complain("A connection could not be served", "balancer", s.front.config.Load().Name, "error", err)
}

// count adds the session to its balancer's figures, and to those of the version
// that had it last; of the set when none had.
func (s *session) count(end tally.End) {
	q := tally.Request{End: end, Retried: s.retried}
	s.front.counters.Add(q)
	c := s.front.config.Load().Unserved
	if m := s.claim.Member; m != nil {
		c = m.Counters
	}
	if c != nil {
		c.Add(q)
	}
	s.record(end)
}

// record adds the session to the access log, if there is one.
func (s *session) record(end tally.End) {
	config := s.front.config.Load()
	if config.Log == nil {
		return
	}
	e := accesslog.Entry{
		Began: s.began, Took: time.Since(s.began), Queued: s.queued, Client: clientOf(s.tcp), Protocol: "tcp",
		Set: config.Set, Attempts: s.attempts, Outcome: accesslog.OutcomeOf(end),
	}
	if m := s.claim.Member; m != nil {
		e.Version, e.Instance = m.Version, m.Name
	}
	if s.backend != nil { // both directions have ended
		e.BytesIn, e.BytesOut = s.client.total, s.backend.total
	}
	config.Log.Append(&e)
}

func clientOf(c *net.TCPConn) netip.Addr {
	a, _ := c.RemoteAddr().(*net.TCPAddr)
	return a.AddrPort().Addr().Unmap()
}
