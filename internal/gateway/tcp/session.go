package tcp

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/internal/gateway/pool"
)

const (
	// answerGrace is how long a process may still answer when a drain is at its time-out.
	answerGrace = time.Second
	// closeGrace is how long a client may take to see the end of the stream.
	closeGrace = time.Second
)

// session is one client's connection, from its beginning to its end.
type session struct {
	front    *Front
	config   *Config
	tcp      *net.TCPConn // the client's
	client   *end
	pool     *pool.Pool
	claim    pool.Claim
	tried    []*pool.Member
	refused  int // attempts that found nobody
	retried  bool
	attempts int
	began    time.Time
	queued   time.Duration // until it was joined to a process, or could not be
	marked   atomic.Int64  // when something was copied last

	mu      sync.Mutex
	cancel  func() // ends the attempt to connect
	broken  bool   // Interrupt was called during that attempt
	backend *end   // nil: not yet joined
	aborted bool   // nothing more is copied
	o       outcome
}

func newSession(f *Front, c *net.TCPConn) *session {
	return &session{front: f, tcp: c, began: time.Now()}
}

// run serves the session, and counts it.
func (s *session) run() {
	var err error
	if s.client, err = newEnd(s.tcp); err == nil {
		err = s.reach()
	}
	s.queued = time.Since(s.began)
	if err != nil {
		s.unserved(err)
		turnAway(s.tcp)
		return
	}
	s.copyBothWays()
	s.explain()
	s.count(s.o.judge(s.pool.Release(&s.claim, s.o.died)))
}

func (s *session) copyBothWays() {
	upward := make(chan struct{})
	go func() {
		defer close(upward)
		s.fromClient()
	}()
	s.fromBackend()
	<-upward
	s.farewell()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aborted = true // whoever comes now is too late
	if s.o.clientGone {
		_ = s.backend.SetLinger(0)
	}
	if s.o.broke != nil {
		_ = s.client.SetLinger(0)
	}
	_ = s.backend.Close()
	_ = s.client.Close()
}

func (s *session) mark() { s.marked.Store(time.Now().UnixNano()) }

func (s *session) fromClient() {
	f := pump(s.backend, s.client, s.mark)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.aborted:
	case f.write != nil:
		s.o.unanswered = true // the other direction finds out why
	case f.read == nil:
		s.o.clientDone = true
		_ = s.backend.CloseWrite()
	case s.o.leaving:
		_ = s.backend.CloseWrite()
	default:
		s.o.clientGone = true
		s.abort()
	}
}

func (s *session) fromBackend() {
	f := pump(s.client, s.backend, s.mark)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.aborted:
	case s.o.leaving:
		s.o.unanswered = s.o.unanswered || f.write != nil
	case f.write != nil:
		s.o.clientGone = true
		s.abort()
	case f.read == nil:
		s.o.backendDone, s.o.backendFirst = true, !s.o.clientDone
		s.mark()
		if !s.o.clientDone { // else it is closed now
			_ = s.client.CloseWrite()
		}
	default:
		s.o.broke, s.o.backendFirst = f.read, true
		s.abort()
	}
}

// Interrupt ends the session, or the attempt to connect, at a drain's time-out.
func (s *session) Interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.backend != nil:
		s.leave()
	case s.cancel != nil:
		s.broken = true
		s.cancel()
	}
}

// leave ends the session in order: nothing more is taken from the client, and
// what the process answers now is passed on. s.mu is held.
func (s *session) leave() {
	if s.aborted || s.o.leaving {
		return
	}
	s.o.leaving = true
	soon := time.Now().Add(answerGrace)
	_ = s.backend.SetDeadline(soon)
	_ = s.client.SetWriteDeadline(soon.Add(closeGrace)) // the last of it may take a moment
	_ = s.client.SetReadDeadline(past)
}

// abort ends both directions at once. s.mu is held.
func (s *session) abort() {
	s.aborted = true
	_ = s.backend.SetDeadline(past)
	_ = s.client.SetDeadline(past)
}

// farewell gives the client the end of the stream and a moment to see it. What it
// sends meanwhile, or had sent, has no answer.
func (s *session) farewell() {
	s.mu.Lock()
	wait := s.o.leaving && !s.aborted
	s.mu.Unlock()
	if !wait {
		return
	}
	_ = s.client.CloseWrite()
	_ = s.client.SetReadDeadline(time.Now().Add(closeGrace))
	for s.client.read() == nil {
		s.client.giveBack()
		s.o.unanswered = true
	}
}

// expire ends a session that was silent for longer than it may be.
func (s *session) expire(now time.Time, idle time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.backend == nil || s.aborted || s.o.leaving {
		return
	}
	if s.o.backendDone && (idle == 0 || idle > afterBackend) {
		idle = afterBackend
	}
	if idle > 0 && now.UnixNano()-s.marked.Load() > int64(idle) {
		s.o.silent = true
		s.abort()
	}
}
