package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/droverhq/drover/internal/gateway/pool"
	"github.com/droverhq/drover/internal/gateway/tally"
	"github.com/droverhq/drover/internal/gateway/upstream"
)

const (
	// keepBody is the largest body that is kept to be sent again.
	keepBody = 64 << 10
	// freshFor is how recently a pooled connection must have been used to carry
	// what cannot be sent again.
	freshFor = time.Second
	// maxRefused is how often a request may find nobody listening, and wait for
	// somebody to, before it tries each member once more at most.
	maxRefused = 32
)

// errCut is the cause of a request's end when its listener's drain time is over.
var errCut = errors.New("the listener's drain time is over")

// exchange is one request on its way, over all its attempts.
type exchange struct {
	front  *Front
	server *server
	config *Config
	route  *Route
	w      http.ResponseWriter
	r      *http.Request
	began  time.Time
	head   requestHead
	again  again
	kept   []byte // the body, when it is kept to be sent again
	// deadline ends the wait for a member.
	deadline time.Time
	fresh    bool // a pooled connection failed: use a new one
	refused  int  // attempts that found nobody
	tried    []*pool.Member
	last     outcome

	claim   pool.Claim
	holding bool // claim is to be released

	mu     sync.Mutex
	conn   *upstream.Conn // of the attempt in progress
	stream *stream        // what conn has become
	broken bool           // Interrupt was called during the attempt
}

// run has the request answered, and counts it.
func (x *exchange) run() {
	ctx := x.r.Context()
	if limit := time.Duration(x.config.Limits.RequestTimeout); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	if !x.takeBody() {
		return
	}
	x.deadline = time.Now().Add(x.config.QueueTimeout)
	defer x.release(false) // should anything below panic, a drain must not wait for it
	for {
		if err := x.claimMember(ctx); err != nil {
			x.unserved(ctx, err)
			return
		}
		x.holding = true
		o := x.attempt(ctx)
		v, end := judge(o, x.again)
		if v == verdictRetry {
			x.retry(o)
			continue
		}
		x.finish(v, end, o)
		return
	}
}

// claimMember claims one. A pool that was closed meanwhile means that the
// documents changed: the request goes where they say now.
func (x *exchange) claimMember(ctx context.Context) error {
	x.mu.Lock()
	x.broken = false // from the claim on it is Interrupt's
	x.mu.Unlock()
	for {
		err := x.route.Pool.Claim(ctx, &x.claim, x, x.deadline, x.tried)
		if !errors.Is(err, pool.ErrClosed) {
			return err
		}
		c := x.front.config.Load()
		if c == x.config {
			return err // the front itself has ended
		}
		x.config = c
		route := c.Routes.Match(x.r.Host, x.r.URL.Path)
		if route == nil {
			return pool.ErrNone
		}
		x.route = route
	}
}

// takeBody decides how the body will travel, and reads it when it is kept.
// It is false when the request was answered instead.
func (x *exchange) takeBody() bool {
	r, limit := x.r, int64(x.config.Limits.MaxBodyBytes)
	if limit > 0 && r.ContentLength > limit {
		x.refuse(http.StatusRequestEntityTooLarge, errBodyTooLarge.Error())
		return false
	}
	x.again = again{idempotent: isIdempotent(r.Method), whole: true}
	x.head.length = r.ContentLength
	if r.ContentLength == 0 {
		return true
	}
	x.head.expecting = r.ProtoAtLeast(1, 1) && hasToken(r.Header["Expect"], "100-continue")
	rc := http.NewResponseController(x.w)
	if !x.again.idempotent || r.ContentLength < 0 || r.ContentLength > keepBody || x.head.expecting {
		_ = rc.EnableFullDuplex()
		return true
	}
	if limit := time.Duration(x.config.Limits.IdleTimeout); limit > 0 {
		_ = rc.SetReadDeadline(time.Now().Add(limit))
	}
	x.kept = make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, x.kept); err != nil {
		x.count(tally.Request{End: tally.Abandoned})
		x.abort()
	}
	_ = rc.SetReadDeadline(time.Time{})
	return true
}

// streams says whether the body goes to the process as it comes from the client.
func (x *exchange) streams() bool { return x.head.length != 0 && x.kept == nil }

// attempt sends the request to the claimed member, passes on what it answers and
// releases the claim.
func (x *exchange) attempt(ctx context.Context) outcome {
	m := x.claim.Member
	c, err := x.connect(ctx, m.Backend)
	var o outcome
	if err != nil {
		o.err = err
		x.notReached(m, err)
	} else {
		stop := context.AfterFunc(ctx, x.Interrupt)
		o = x.talk(c)
		keep := stop() && o.err == nil && o.keep
		if x.letGo() || !keep {
			c.Close()
		} else {
			c.Keep()
		}
	}
	x.explain(ctx, m, &o)
	o.cut = max(o.cut, x.release(o.died))
	return o
}

// release gives up the member, once.
func (x *exchange) release(died bool) pool.Cut {
	if !x.holding {
		return pool.NotCut
	}
	x.holding = false
	return x.route.Pool.Release(&x.claim, died)
}

// connect returns a pooled connection, where that is safe, or a new one.
func (x *exchange) connect(ctx context.Context, b *upstream.Backend) (*upstream.Conn, error) {
	if !x.fresh {
		repeatable := x.again.idempotent && !x.streams()
		maxAge := upstream.IdleTime
		if !repeatable {
			maxAge = freshFor
		}
		if c := b.Reusable(maxAge, !repeatable); c != nil {
			return x.hold(c), nil
		}
	}
	c, err := b.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return x.hold(c), nil
}

// hold makes c what Interrupt breaks.
func (x *exchange) hold(c *upstream.Conn) *upstream.Conn {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.conn, x.stream = c, nil
	if x.broken {
		c.Interrupt()
	}
	return c
}

// letGo ends Interrupt's power over the connection, and says whether it was used.
func (x *exchange) letGo() (broken bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.conn, x.stream = nil, nil
	return x.broken
}

// Interrupt makes the attempt in progress fail, or its stream end in order.
func (x *exchange) Interrupt() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.broken = true
	switch {
	case x.stream != nil:
		x.stream.interrupt()
	case x.conn != nil:
		x.conn.Interrupt()
	}
}

// notReached takes a member out of the choice when it is to blame that no
// connection could be made.
func (x *exchange) notReached(m *pool.Member, err error) {
	ne, isNet := errors.AsType[net.Error](err)
	blame := errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) || isNet && ne.Timeout()
	if !blame || x.r.Context().Err() != nil {
		x.tried = append(x.tried, m) // ours: too many open files, no free port; or the name is not known
		return
	}
	if x.refused++; x.refused > maxRefused {
		x.tried = append(x.tried, m)
	}
	x.route.Pool.Refuse(m)
}

// explain finds out why an attempt failed.
func (x *exchange) explain(ctx context.Context, m *pool.Member, o *outcome) {
	if o.err == nil {
		return
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errCut):
		o.cut = pool.CutDrain
	case errors.Is(cause, context.DeadlineExceeded):
		o.timedOut = true
	case cause != nil && !o.deaf:
		o.clientGone = true
	case o.sent && !o.clientGone && x.route.Pool.WasCut(&x.claim) != pool.CutDrain:
		if o.died = m.Backend.Died(context.WithoutCancel(ctx)); o.died {
			x.route.Pool.Refuse(m)
		}
	}
}

// retry notes what the next attempt must know of this one.
func (x *exchange) retry(o outcome) {
	m := x.claim.Member
	switch {
	case o.reused && !o.died:
		// The other end closed it while it was idle: that says nothing about the process.
		x.fresh = true
	case o.sent:
		x.tried = append(x.tried, m)
	}
	if o.sent && !o.reused && !o.died && o.cut == pool.NotCut {
		x.again.replays++
	}
	x.last = o
}
