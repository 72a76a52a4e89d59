package proxy

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/droverhq/drover/internal/gateway/accesslog"
	"github.com/droverhq/drover/internal/gateway/h1"
)

// told is what only the access log is told of a request.
type told struct {
	ending         accesslog.Outcome
	status         int // that the client got, if any
	attempts       int
	queued         time.Duration // what it waited for a member
	firstByte      time.Duration // until a member began to answer
	received, sent int64         // of bodies
}

// answered notes when a member has begun to answer.
func (x *exchange) answered() {
	if x.config.Log != nil {
		x.firstByte = x.front.now() - x.began
	}
}

// record adds the request to the access log, if there is one.
func (x *exchange) record(how accesslog.Outcome) {
	if x.config.Log == nil {
		return
	}
	took := x.front.now() - x.began
	e := accesslog.Entry{
		Began: time.Now().Add(-took), Took: took, Queued: x.queued, FirstByte: x.firstByte,
		Client: x.from.address, TLS: x.from.tls, Protocol: x.client.protocol(),
		Method: x.req.Method, Host: x.req.Host, Path: x.req.Path, Query: x.req.Query, UserAgent: first(x.req, h1.UserAgent),
		Status: x.status, BytesIn: x.received, BytesOut: x.sent, Attempts: x.attempts, Outcome: how,
	}
	if x.from.trusted {
		e.ForwardedFor = first(x.req, h1.XForwardedFor)
	}
	if x.route != nil {
		e.Set = x.route.Set
	}
	if m := x.claim.Member; m != nil {
		e.Version, e.Instance = m.Version, m.Name
	}
	x.config.Log.Append(&e)
}

// refused adds what was not understood to the access log.
func (f *Front) refused(c *Config, peer netip.Addr, e *h1.Error) {
	if c.Log != nil {
		c.Log.Append(&accesslog.Entry{Began: time.Now(), Client: peer, Status: e.Status, Outcome: accesslog.Refused})
	}
}

// detach keeps what is told of a request at its end, when its connection has become
// something else and the buffer that it is in another's.
func detach(r *h1.Request) {
	fields := make([]h1.Field, 0, len(r.Fields))
	for _, f := range r.Fields {
		if f.Kind == h1.UserAgent || f.Kind == h1.XForwardedFor {
			fields = append(fields, h1.Field{Name: bytes.Clone(f.Name), Value: bytes.Clone(f.Value), Kind: f.Kind})
		}
	}
	r.Fields = fields
	for _, part := range []*[]byte{&r.Method, &r.Host, &r.Path, &r.Query, &r.Upgrade} {
		*part = bytes.Clone(*part)
	}
}
