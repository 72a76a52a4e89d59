package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/internal/load"
)

const (
	http2Streams = 10
	http2Pace    = 400 * time.Millisecond
)

// http2 is a connection of HTTP/2 by prior knowledge that several streams share. A
// GOAWAY has the library open another.
type http2 struct {
	address   string
	transport *http.Transport
	dialled   atomic.Int64
}

func newHTTP2(address string) *http2 {
	h := &http2{address: address}
	h.transport = &http.Transport{
		Protocols: new(http.Protocols),
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			h.dialled.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	h.transport.Protocols.SetUnencryptedHTTP2(true)
	return h
}

func (h *http2) do(ctx context.Context, req *http.Request) (*http.Response, error) {
	return h.transport.RoundTrip(req.WithContext(ctx))
}

func (h *http2) done(resp *http.Response, _ error) {
	if resp != nil {
		resp.Body.Close()
	}
}

// request asks something; every third time with a body.
func (h *http2) request() func(context.Context, *visitor) error {
	n := 0
	return func(ctx context.Context, v *visitor) error {
		method, body := http.MethodGet, []byte(nil)
		if n++; n%3 == 0 {
			method, body = http.MethodPost, make([]byte, 3000)
		}
		req, err := http.NewRequest(method, "http://"+h.address+"/", bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set(load.NonceHeader, newNonce("http2"))
		resp, err := h.do(context.Background(), req)
		defer func() { h.done(resp, err) }()
		if err != nil {
			return err
		}
		text, err := io.ReadAll(resp.Body)
		switch {
		case err != nil:
			return err
		case resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2:
			return fmt.Errorf("%s %s %s", resp.Proto, resp.Status, text)
		case !bytes.HasSuffix(text, fmt.Appendf(nil, ", %d bytes received\n", len(body))):
			return fmt.Errorf("sent %d bytes: %s", len(body), text)
		}
		v.count()
		rest(ctx, http2Pace)
		return nil
	}
}

// startHTTP2 adds a connection with all its streams; the first request opens it.
func (tr *traffic) startHTTP2(n int, address string) {
	tr.t.Helper()
	h := newHTTP2(address)
	tr.t.Cleanup(h.transport.CloseIdleConnections)
	check(tr.t, h.request()(context.Background(), &visitor{}))
	for i := range http2Streams {
		tr.start(&visitor{name: fmt.Sprintf("HTTP/2 %d, stream %d", n, i), requests: true, pooled: true, converse: h.request()})
	}
}
