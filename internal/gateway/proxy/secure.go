package proxy

import (
	"crypto/tls"
	"errors"
	"net/http"
	"slices"
	"time"
)

// Protocols are what a client that begins TLS may choose from. Which one it speaks
// shows by how it begins, as without TLS.
func Protocols() []string { return []string{"h2", "http/1.1"} }

// secured begins TLS where the front has it. It is false when there is nothing to
// serve.
func (c *conn) secured() bool {
	if c.in.Shaken() {
		return true
	}
	if limit := time.Duration(c.front.config.Load().Limits.HeaderTimeout); limit > 0 {
		_ = c.in.TCP.SetWriteDeadline(time.Now().Add(limit)) // reading is limited by the sweep
	}
	protocol, err := c.in.Handshake()
	if err != nil {
		c.explainTLS(err)
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	_ = c.in.TCP.SetWriteDeadline(time.Time{})
	c.since = c.front.now()
	return protocol == "" || slices.Contains(Protocols(), protocol) // else it was for the certificate alone
}

// explainTLS tells a client that speaks plain HTTP what is the matter. Others have got an alert.
func (c *conn) explainTLS(err error) {
	e, ok := errors.AsType[tls.RecordHeaderError](err)
	if !ok || e.Conn == nil || !isHTTP(e.RecordHeader) {
		return
	}
	const text = "this port speaks HTTPS: the request came by plain HTTP\n"
	_ = c.in.TCP.SetWriteDeadline(time.Now().Add(closeGrace))
	_, _ = c.in.TCP.Write(plainAnswer(http.StatusBadRequest, text))
	c.linger()
}

// isHTTP says whether something that is no record is how requests begin.
func isHTTP(b [5]byte) bool {
	for i, c := range b {
		if i > 0 && c == ' ' {
			return true
		}
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return true
}
