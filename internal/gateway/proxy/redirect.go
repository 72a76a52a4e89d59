package proxy

import (
	"bytes"
	"net/http"

	"github.com/droverhq/drover/internal/gateway/accesslog"
	"github.com/droverhq/drover/internal/gateway/h1"
	"github.com/droverhq/drover/internal/gateway/tally"
)

// Redirect has a front answer every request with where it is to be sent instead.
type Redirect struct {
	// Port is what follows the host's name there, as ":8443", or nothing.
	Port string
}

// redirect sends the client to HTTPS. A 308, unlike a 301, keeps the method and the
// body of what is sent again.
func (x *exchange) redirect() {
	x.front.counters.Add(tally.Request{End: tally.Answered})
	host := nameOf(x.req.Host)
	if len(host) == 0 || x.req.Path[0] != '/' {
		x.plain(http.StatusBadRequest, "this port only leads to HTTPS, and the request does not say to what there", false)
		x.record(accesslog.Refused)
		return
	}
	to := append([]byte("https://"), host...)
	to = append(append(append(to, x.config.Redirect.Port...), x.req.Path...), x.req.Query...)
	x.client.begin(&h1.Response{
		Status: http.StatusPermanentRedirect, Reason: []byte(http.StatusText(http.StatusPermanentRedirect)),
		Head: h1.Head{Minor: 1, Fields: []h1.Field{
			{Name: []byte("Location"), Value: to, Kind: h1.Location},
			{Name: []byte("Content-Length"), Value: []byte("0"), Kind: h1.ContentLength},
		}},
	})
	x.status = http.StatusPermanentRedirect
	how := accesslog.Answered
	if x.client.finish(nil) != nil {
		how = accesslog.Abandoned
		x.client.abort()
	}
	x.record(how)
}

// nameOf is a host without its port.
func nameOf(host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && !bytes.HasSuffix(host, []byte("]")) {
		return host[:i]
	}
	return host
}
