package proxy

import (
	"errors"
	"net/http"

	"github.com/droverhq/drover/internal/gateway/accesslog"
	"github.com/droverhq/drover/internal/gateway/h1"
	"github.com/droverhq/drover/internal/gateway/pool"
	"github.com/droverhq/drover/internal/gateway/tally"
)

// finish ends a request as judge said.
func (x *exchange) finish(v verdict, end tally.End, o outcome) {
	q := tally.Request{End: end, Status: o.status, Retried: x.last.err != nil}
	if o.status != http.StatusSwitchingProtocols {
		q.Latency = x.front.now() - x.began
	}
	x.count(q)
	switch v {
	case verdictDone:
		if o.orderly && o.err != nil && o.status != http.StatusSwitchingProtocols {
			_ = x.client.finish(lastWords(&o))
		}
	case verdictBad:
		x.log("The backend gave no whole answer", o)
		x.plain(http.StatusBadGateway, "the instance gave no answer", false)
	case verdictRefused:
		x.ending = accesslog.Refused
		x.plain(o.refused.Status, o.refused.Reason, false)
	case verdictLate:
		x.log("The request took too long", o)
		x.plain(http.StatusGatewayTimeout, "the request took longer than this load balancer allows", false)
	case verdictBroken:
		if end != tally.Abandoned {
			x.log("An answer was cut short", o)
		}
		x.client.abort()
	}
}

// lastWords end a stream whose drain is over, as far as it has any.
func lastWords(o *outcome) []h1.Field {
	if o.grpc {
		return grpcAgain
	}
	return nil
}

// unserved answers a request that no member took.
func (x *exchange) unserved(err error) {
	cause := x.ended()
	switch {
	case errors.Is(cause, errCut):
		x.count(tally.Request{End: tally.CutOff})
		x.plain(http.StatusServiceUnavailable, "the load balancer is closing", false)
	case errors.Is(cause, errClientGone):
		x.count(tally.Request{End: tally.Abandoned})
		x.client.abort()
	case x.last.err != nil && x.last.sent:
		_, end := judge(x.last, again{})
		x.count(tally.Request{End: end})
		x.log("No other instance could answer", x.last)
		x.plain(http.StatusBadGateway, "the instance gave no answer", false)
	case cause != nil:
		x.count(tally.Request{End: tally.Failed})
		x.plain(http.StatusGatewayTimeout, "the request took longer than this load balancer allows", false)
	case errors.Is(err, pool.ErrExhausted):
		x.count(tally.Request{End: tally.Failed})
		x.log("No instance could be reached", x.last)
		x.plain(http.StatusBadGateway, "no instance could be reached", false)
	default:
		x.count(tally.Request{End: tally.Failed})
		x.plain(http.StatusServiceUnavailable, err.Error(), true)
	}
}

// refuse answers a request that is not sent on for what it is.
func (x *exchange) refuse(e *h1.Error) {
	x.count(tally.Request{End: tally.Answered})
	x.ending = accesslog.Refused
	x.plain(e.Status, e.Reason, false)
}

// count adds the request to its balancer's figures, and to those of the version
// that had it last; of the set when none had.
func (x *exchange) count(q tally.Request) {
	x.front.counters.Add(q)
	x.ending, x.status = accesslog.OutcomeOf(q.End), q.Status
	c := x.route.Unserved
	if m := x.claim.Member; m != nil {
		c = m.Counters
	}
	if c != nil {
		c.Add(q)
	}
}

// plain is an answer of the gateway's own.
func (x *exchange) plain(status int, why string, again bool) {
	x.status = status
	x.client.plain(status, why, again)
}

// log tells of a request that went wrong. No query, no header: they may hold secrets.
func (x *exchange) log(message string, o outcome) {
	a := []any{"balancer", x.config.Name, "method", string(x.req.Method), "path", string(x.req.Path), "error", o.err,
		"sent", o.sent, "died", o.died, "cut", o.cut != pool.NotCut}
	if m := x.claim.Member; m != nil {
		a = append(a, "instance", m.Name)
	}
	x.front.logger.Warn(message, a...)
}
