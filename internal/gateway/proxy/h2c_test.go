package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// Whatever a client speaks, and an instance, bodies and trailers arrive both ways.
func TestBothProtocolsOnBothSides(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum, X-Saw")
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(body)
		w.Header().Set("X-Sum", fmt.Sprint(len(body)))
		w.Header().Set("X-Saw", r.Trailer.Get("X-Sent"))
	})
	for _, behind := range []string{"HTTP/1.1", "HTTP/2"} {
		for _, front := range []string{"HTTP/1.1", "HTTP/2"} {
			t.Run(front+" to "+behind, func(t *testing.T) {
				var g *rig
				if behind == "HTTP/2" {
					g = newRig(t, h2c)
					g.serve2("a", echo)
				} else {
					g = newRig(t)
					g.serve("a", echo)
				}
				c := g.client()
				if front == "HTTP/2" {
					c = g.client2()
				}
				for _, n := range []int{0, 1, 5000, 100_000, 5_000_000} {
					body := bytes.Repeat([]byte("0123456789"), n/10+1)[:n]
					q, err := http.NewRequest("POST", g.url("/x?y=z"), io.MultiReader(bytes.NewReader(body)))
					if err != nil {
						t.Fatal(err)
					}
					q.Header.Set("Te", "trailers")
					q.Trailer = http.Header{"X-Sent": {"yes"}}
					resp, err := c.Do(q)
					if err != nil {
						t.Fatal(err)
					}
					got, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if err != nil || !bytes.Equal(got, body) {
						t.Fatalf("of %d bytes came back %d, %v", n, len(got), err)
					}
					if resp.Trailer.Get("X-Sum") != fmt.Sprint(n) || resp.Trailer.Get("X-Saw") != "yes" {
						t.Errorf("%d bytes: trailers %v", n, resp.Trailer)
					}
				}
			})
		}
	}
}
