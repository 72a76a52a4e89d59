package proxy

import (
	"net/http"
	"testing"
)

// protocol makes a client that speaks it.
type protocol func(*rig) *http.Client

// overBoth runs a test by HTTP/1.1 and by HTTP/2.
func overBoth(t *testing.T, test func(t *testing.T, client protocol)) {
	t.Run("HTTP1", func(t *testing.T) { test(t, (*rig).client) })
	t.Run("HTTP2", func(t *testing.T) { test(t, (*rig).client2) })
}

// client2 is client, by HTTP/2 with prior knowledge.
func (g *rig) client2() *http.Client {
	c := g.client()
	tr := c.Transport.(*http.Transport)
	tr.Protocols = new(http.Protocols)
	tr.Protocols.SetUnencryptedHTTP2(true)
	return c
}
