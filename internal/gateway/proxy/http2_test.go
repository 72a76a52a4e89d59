package proxy

import (
	"fmt"
	"io"
	"net/http"
	"testing"
)

// client2 is client, by HTTP/2 with prior knowledge.
func (g *rig) client2() *http.Client {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	tr := &http.Transport{DisableCompression: true, Protocols: p}
	g.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

func TestHTTP2Smoke(t *testing.T) {
	g := newRig(t)
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %s %d %v %v", r.Method, r.URL, n, err, r.Header)
	}))
	c := g.client2()
	for _, n := range []int{0, 10, 5000, 100000, 5000000} {
		resp, got, err := do(t, c, "POST", g.url("/a?b=c"), make([]byte, n), "X-A", "b")
		t.Log(resp, got, err)
		if err != nil {
			t.Fatal(err)
		}
	}
}
