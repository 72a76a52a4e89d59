package proxy

import (
	"net/http"

	"github.com/droverhq/drover/internal/gateway/h1"
	"github.com/droverhq/drover/internal/gateway/pool"
	"github.com/droverhq/drover/internal/gateway/tally"
)

// outcome is what became of one attempt to have a request answered.
type outcome struct {
	err    error // nil: answered whole
	status int   // what the process answered
	// keep: the connection can carry another request.
	keep bool
	// refused is why the body was refused: too large, or malformed.
	refused *h1.Error
	// clientGone: it was the client that broke off.
	clientGone bool
	// timedOut: the request's own time limit came.
	timedOut bool
	// sent: bytes may have reached the process.
	sent bool
	// turnedAway: a connection was made, and all the same nothing was sent.
	turnedAway bool
	// forwarded: the client has got something of the answer.
	forwarded bool
	// reused: it was sent on a connection that had been idle.
	reused bool
	// stream: an upgraded connection or an event stream, which has no end of its own.
	stream bool
	// grpc: it is gRPC's, and can be told why it ends.
	grpc bool
	// left: the process ended the stream; it may, as long as it lives.
	left bool
	// orderly: the stream was ended in order at the drain's time-out.
	orderly bool
	// What the pool and the system say:
	died bool
	cut  pool.Cut
}

// again says what of a request allows to send it again.
type again struct {
	idempotent bool
	// whole: the body is empty, kept, or not a byte of it has been taken from the client.
	whole bool
	// replays: how often it was sent again to a process that lived.
	replays int
}

type verdict int

const (
	verdictDone    verdict = iota // nothing more to say to the client
	verdictRetry                  // to another member
	verdictBad                    // 502
	verdictLate                   // 504
	verdictRefused                // what outcome.refused says
	verdictBroken                 // the client must see that the answer is not whole
)

// maxReplays bounds how often a request that a living process did not answer is
// sent to another: it may be what makes them break off.
const maxReplays = 1

// judge says what follows from an attempt. It is the only place that does.
func judge(o outcome, a again) (verdict, tally.End) {
	explained := o.died || o.cut != pool.NotCut
	switch {
	case o.err == nil:
		return verdictDone, tally.Answered
	case o.refused != nil && !o.forwarded:
		return verdictRefused, tally.Answered
	case o.clientGone:
		return verdictBroken, tally.Abandoned
	case o.cut == pool.CutDrain && o.stream && o.orderly:
		return verdictDone, tally.Ended
	case o.left && !explained:
		return verdictDone, tally.Answered
	case o.forwarded:
		return verdictBroken, failedUnless(explained)
	case o.timedOut:
		return verdictLate, tally.Failed
	case mayRepeat(o, a):
		return verdictRetry, failedUnless(explained)
	}
	return verdictBad, failedUnless(explained)
}

// mayRepeat says whether the request may run, or run again, elsewhere.
func mayRepeat(o outcome, a again) bool {
	switch {
	case !o.sent:
		return a.whole
	case !a.idempotent || !a.whole || o.cut == pool.CutDrain:
		return false
	}
	return o.died || o.cut == pool.CutForced || a.replays < maxReplays
}

func failedUnless(explained bool) tally.End {
	if explained {
		return tally.CutOff
	}
	return tally.Failed
}

func isIdempotent(method []byte) bool {
	switch string(method) {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}
