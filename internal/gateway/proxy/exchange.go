package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/droverhq/drover/internal/gateway/accesslog"
	"github.com/droverhq/drover/internal/gateway/h1"
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
	// maxTurnedAway is how often a process may say that it has done nothing with a
	// request, before it is tried no more.
	maxTurnedAway = 3
)

// Why a request ends before it was answered, beside context.DeadlineExceeded.
var (
	errCut        = errors.New("the listener's drain time is over")
	errClientGone = errors.New("the client has left")
)

// exchange is one request on its way, over all its attempts. It is used for one
// request after the other.
type exchange struct {
	front  *Front
	config *Config
	route  *Route
	client client
	req    *h1.Request
	from   sender
	began  time.Duration
	ready  time.Duration // when there was something to send: waiting begins
	again  again
	kept   []byte // the body, when it is kept to be sent again
	fresh  bool   // a pooled connection failed: use a new one
	// refused counts attempts that found nobody.
	refused int
	tried   []*pool.Member
	last    outcome

	told // to the access log

	claim   pool.Claim
	holding bool       // claim is to be released
	keys    []pool.Key // of members that the client was given

	// What stays, to be used again:
	one     link1
	two     link2
	resp    *h1.Response // of one or two
	store   []byte       // of kept
	escaped []byte       // of path
	calls   messages     // of the answer, where that is gRPC's
	cookie  []byte       // that the client is given

	mu     sync.Mutex
	link   link    // of the attempt in progress
	stream *stream // what its connection has become
	broken bool    // Interrupt was called during the attempt
	cause  error   // why the request ends
	cancel context.CancelCauseFunc
}

// start makes ready for a request.
func (x *exchange) start(c *Config, from client, r *h1.Request, on *conn) {
	x.front, x.config, x.client, x.req = on.front, c, from, r
	x.from = sender{address: on.peer, trusted: trusts(c.Trusted, on.peer), secure: on.in.Secured(), tls: on.in.TLSVersion()}
	if c.Affinity != nil {
		x.keys = appendKeys(x.keys, r, c.Affinity)
	}
	x.began = x.front.now()
}

// forget drops what belongs to the request.
func (x *exchange) forget() {
	clear(x.tried)
	x.one.forget()
	x.two.forget()
	x.front, x.config, x.route, x.client, x.req, x.kept = nil, nil, nil, nil, nil, nil
	x.keys = x.keys[:0]
	x.fresh, x.refused, x.tried, x.last, x.again = false, 0, x.tried[:0], outcome{}, again{}
	x.claim, x.resp = pool.Claim{}, nil
	x.broken, x.cause, x.told = false, nil, told{}
}

// path is the request's, as routes know it.
func (x *exchange) path() []byte {
	if !slices.Contains(x.req.Path, '%') {
		return x.req.Path
	}
	x.escaped = unescape(x.escaped[:0], x.req.Path)
	return x.escaped
}

// choose finds out where the request goes, or answers it.
func (x *exchange) choose() bool {
	if string(x.req.Method) == http.MethodConnect {
		x.plain(http.StatusMethodNotAllowed, "this is not a forward proxy", false)
		x.record(accesslog.Refused)
		return false
	}
	if x.config.Redirect != nil {
		x.redirect()
		return false
	}
	if x.route = x.config.Routes.Match(x.req.Host, x.path()); x.route == nil {
		x.plain(http.StatusNotFound, "no route matches", false)
		x.record(accesslog.Refused)
		return false
	}
	if x.config.H2C && x.req.Upgrade != nil {
		x.plain(http.StatusNotImplemented, "a connection to instances that are spoken to by HTTP/2 (backendProtocol: h2c) cannot be upgraded", false)
		x.record(accesslog.Refused)
		return false
	}
	return true
}

// run has the request answered, and counts it.
func (x *exchange) run() {
	x.serve()
	x.record(x.ending)
}

func (x *exchange) serve() {
	if !x.takeBody() {
		return
	}
	defer x.release(false) // should anything below panic, a drain must not wait for it
	for {
		if err := x.claimMember(); err != nil {
			x.unserved(err)
			return
		}
		x.holding = true
		o := x.attempt()
		v, end := judge(o, x.again)
		if v == verdictRetry && !x.affordable(&o) {
			x.again.replays = maxReplays
			v, end = judge(o, x.again)
		}
		if v == verdictRetry {
			x.retry(o)
			continue
		}
		x.finish(v, end, o)
		return
	}
}

// affordable says whether the request may be sent again as far as the others go.
// What cannot have run, and what an instance's end explains, always may.
func (x *exchange) affordable(o *outcome) bool {
	if !o.sent || o.died || o.cut != pool.NotCut {
		return true
	}
	return x.front.extra.take(x.front.now(), x.front.counters.Requests())
}

// claimMember claims one. A pool that was closed meanwhile means that the
// documents changed: the request goes where they say now.
func (x *exchange) claimMember() error {
	x.mu.Lock()
	x.broken = false // from the claim on it is Interrupt's
	cause := x.cause
	x.mu.Unlock()
	if cause != nil {
		return cause
	}
	for {
		err := x.claimFrom(x.route.Pool)
		if !errors.Is(err, pool.ErrClosed) {
			return err
		}
		c := x.front.config.Load()
		if c == x.config {
			return err // the front itself has ended
		}
		x.config = c
		route := c.Routes.Match(x.req.Host, x.path())
		if route == nil {
			return pool.ErrNone
		}
		x.route = route
	}
}

func (x *exchange) claimFrom(p *pool.Pool) error {
	if len(x.keys) > 0 && p.ClaimKnown(&x.claim, x, x.keys, x.tried) {
		return nil
	}
	if done, err := p.TryClaim(&x.claim, x, x.tried); done {
		return err
	}
	ctx := x.slowly()
	defer x.quickly()
	defer func(from time.Duration) { x.queued += x.front.now() - from }(x.front.now())
	wait := x.config.QueueTimeout - (x.front.now() - x.ready)
	return p.Claim(ctx, &x.claim, x, time.Now().Add(wait), x.tried)
}

// slowly is a context for what may take long. It ends when the request does, and
// with a call of quickly.
func (x *exchange) slowly() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cause != nil {
		cancel(x.cause)
	}
	x.cancel = cancel
	return ctx
}

func (x *exchange) quickly() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.cancel(nil)
	x.cancel = nil
}

// takeBody decides how the body will travel, and reads it when it is kept.
// It is false when the request was answered instead.
func (x *exchange) takeBody() bool {
	r, limit := x.req, int64(x.config.Limits.MaxBodyBytes)
	x.ready = x.began
	x.again = again{idempotent: isIdempotent(r.Method), whole: true}
	switch {
	case r.Length == 0:
		return true
	case r.Length < 0 && !r.Expect100:
		x.kept = x.client.early(h1.LengthChunked)
		x.received = int64(len(x.kept))
		if limit <= 0 || int64(len(x.kept)) <= limit {
			return true
		}
		x.refuse(errBodyTooLarge)
		return false
	case limit > 0 && r.Length > limit:
		x.refuse(errBodyTooLarge)
		return false
	case r.Length < 0 || r.Length > keepBody || r.Expect100:
		return true
	}
	if x.kept = x.client.early(r.Length); x.kept != nil || !x.again.idempotent {
		x.received = int64(len(x.kept))
		return true
	}
	return x.keepBody(int(r.Length))
}

func (x *exchange) keepBody(n int) bool {
	x.store = slices.Grow(x.store[:0], n)[:n]
	if limit := time.Duration(x.config.Limits.IdleTimeout); limit > 0 {
		x.client.limitRead(time.Now().Add(limit))
	}
	if _, err := io.ReadFull(reader{x.client}, x.store); err != nil {
		x.count(tally.Request{End: tally.Abandoned})
		x.client.abort()
		return false
	}
	x.client.limitRead(time.Time{})
	x.kept, x.ready, x.received = x.store, x.front.now(), int64(n)
	return true
}

// reader reads a client's body.
type reader struct{ client }

func (r reader) Read(p []byte) (int, error) { return r.read(p) }

// streams says whether the body goes to the process as it comes from the client.
func (x *exchange) streams() bool { return x.req.Length != 0 && x.kept == nil }

// attempt sends the request to the claimed member, passes on what it answers and
// releases the claim.
func (x *exchange) attempt() outcome {
	m := x.claim.Member
	x.attempts++
	l, err := x.connect(m.Backend)
	var o outcome
	if err != nil {
		o.err = err
		x.notReached(m, err)
	} else {
		o = x.talk(l)
		broken := x.letGo()
		l.leave(!broken && o.err == nil && o.keep)
	}
	x.explain(m, &o)
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

// notReached takes a member out of the choice when it is to blame that no
// connection could be made.
func (x *exchange) notReached(m *pool.Member, err error) {
	if !upstream.Unreachable(err) || x.ended() != nil {
		x.tried = append(x.tried, m) // ours: too many open files, no free port; or the name is not known
		return
	}
	if x.refused++; x.refused > maxRefused {
		x.tried = append(x.tried, m)
	}
	x.route.Pool.Refuse(m)
}

// explain finds out why an attempt failed.
func (x *exchange) explain(m *pool.Member, o *outcome) {
	if o.err == nil {
		return
	}
	switch cause := x.ended(); {
	case errors.Is(cause, errCut):
		o.cut = pool.CutDrain
	case errors.Is(cause, context.DeadlineExceeded):
		o.timedOut = true
	case cause != nil:
		o.clientGone = true
	case (o.sent || !x.again.whole) && !o.clientGone && x.route.Pool.WasCut(&x.claim) != pool.CutDrain:
		if o.died = m.Backend.Died(context.Background()); o.died {
			x.route.Pool.Refuse(m)
		}
	}
}

// retry notes what the next attempt must know of this one.
func (x *exchange) retry(o outcome) {
	m := x.claim.Member
	if o.turnedAway {
		x.refused++
	}
	switch {
	case o.turnedAway && x.refused > maxTurnedAway:
		x.tried = append(x.tried, m)
	case o.reused && !o.died && !x.fresh:
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
