package h2

import (
	"time"

	"golang.org/x/net/http2"
)

// allowance bounds what a peer may do that costs work and has no use. It fills
// with time and with what is of use.
type allowance struct {
	left      int
	full      int
	perSecond int
	at        time.Time
}

// idleFrames bounds frames that carry nothing: PING, SETTINGS, PRIORITY, empty
// DATA, WINDOW_UPDATE and frames on streams that are gone.
func idleFrames() allowance { return allowance{left: 2000, full: 2000, perSecond: 200} }

// atOnce is how soon a stream that is reset was opened for nothing. Who waits longer is
// bounded by the streams that may be open.
const atOnce = time.Second

// resets bounds streams that the peer opened and took back at once, before their
// answer was there (CVE-2023-44487).
func resets() allowance { return allowance{left: 200, full: 200, perSecond: 20} }

// take uses one. False: there is none.
func (a *allowance) take(now func() time.Time) bool {
	if a.left == 0 {
		t := now()
		if a.at.IsZero() {
			a.at = t.Add(-time.Second)
		}
		more := int(t.Sub(a.at).Seconds() * float64(a.perSecond))
		if more == 0 {
			return false
		}
		a.left, a.at = min(more, a.full), t
	}
	a.left--
	return true
}

// earn gives back n for something of use.
func (a *allowance) earn(n int) { a.left = min(a.left+n, a.full) }

// spend uses one of an allowance, or says that the peer has gone too far.
func (c *Conn) spend(a *allowance) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spendLocked(a)
}

func (c *Conn) spendLocked(a *allowance) error {
	if !a.take(c.now) {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	return nil
}
