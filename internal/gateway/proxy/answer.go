package proxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/droverhq/drover/internal/gateway/pool"
	"github.com/droverhq/drover/internal/gateway/tally"
)

// finish ends a request as judge said.
func (x *exchange) finish(v verdict, end tally.End, o outcome) {
	q := tally.Request{End: end, Status: o.status, Retried: x.last.err != nil}
	if o.status != http.StatusSwitchingProtocols {
		q.Latency = time.Since(x.began)
	}
	x.count(q)
	switch v {
	case verdictBad:
		x.log("The backend gave no whole answer", o)
		x.answer(http.StatusBadGateway, "the instance gave no answer")
	case verdictLarge:
		x.answer(http.StatusRequestEntityTooLarge, errBodyTooLarge.Error())
	case verdictLate:
		x.log("The request took too long", o)
		x.answer(http.StatusGatewayTimeout, "the request took longer than this load balancer allows")
	case verdictBroken:
		if end != tally.Abandoned {
			x.log("An answer was cut short", o)
		}
		x.abort()
	}
}

// unserved answers a request that no member took.
func (x *exchange) unserved(ctx context.Context, err error) {
	switch {
	case errors.Is(context.Cause(ctx), errCut):
		x.count(tally.Request{End: tally.CutOff})
		x.answer(http.StatusServiceUnavailable, "the load balancer is closing")
	case x.r.Context().Err() != nil:
		x.count(tally.Request{End: tally.Abandoned})
		x.abort()
	case x.last.err != nil && x.last.sent:
		_, end := judge(x.last, again{})
		x.count(tally.Request{End: end})
		x.log("No other instance could answer", x.last)
		x.answer(http.StatusBadGateway, "the instance gave no answer")
	case ctx.Err() != nil:
		x.count(tally.Request{End: tally.Failed})
		x.answer(http.StatusGatewayTimeout, "the request took longer than this load balancer allows")
	case errors.Is(err, pool.ErrExhausted):
		x.count(tally.Request{End: tally.Failed})
		x.log("No instance could be reached", x.last)
		x.answer(http.StatusBadGateway, "no instance could be reached")
	default:
		x.count(tally.Request{End: tally.Failed})
		x.w.Header().Set("Retry-After", "1")
		x.answer(http.StatusServiceUnavailable, err.Error())
	}
}

// abort breaks the client's connection. It does not return.
func (x *exchange) abort() {
	// net/http would first read what is left of the body, however slowly it comes.
	_ = http.NewResponseController(x.w).SetReadDeadline(time.Unix(1, 0))
	panic(http.ErrAbortHandler)
}

// refuse answers a request that is not sent on for what it is.
func (x *exchange) refuse(status int, why string) {
	x.count(tally.Request{End: tally.Answered})
	x.answer(status, why)
}

// answer is the gateway's own. What is left of the request's body is not read:
// the connection ends with it.
func (x *exchange) answer(status int, why string) {
	if x.r.ContentLength != 0 && x.kept == nil {
		x.w.Header().Set("Connection", "close")
		_ = http.NewResponseController(x.w).SetReadDeadline(time.Now().Add(lingerTime))
	}
	x.server.plain(x.w, status, why)
}

// count adds the request to its balancer's figures, and to those of the version
// that had it last; of the set when none had.
func (x *exchange) count(q tally.Request) {
	x.front.counters.Add(q)
	c := x.route.Unserved
	if m := x.claim.Member; m != nil {
		c = m.Counters
	}
	if c != nil {
		c.Add(q)
	}
}

// log tells of a request that went wrong. No query, no header: they may hold secrets.
func (x *exchange) log(message string, o outcome) {
	a := []any{"balancer", x.config.Name, "method", x.r.Method, "path", x.r.URL.Path, "error", o.err,
		"sent", o.sent, "died", o.died, "cut", o.cut != pool.NotCut}
	if m := x.claim.Member; m != nil {
		a = append(a, "instance", m.Name)
	}
	x.front.logger.Warn(message, a...)
}
