package gate

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"
)

// pauseAfter an error of accept: too many open files, say; some must end first.
const pauseAfter = 50 * time.Millisecond

// Accept takes connections until ctx ends or the listener is closed. take gets
// each that is let in and calls left when it is over; turn gets the others. Both
// must return at once.
func (g *Gate) Accept(ctx context.Context, l *net.TCPListener, logger *slog.Logger, take func(c *net.TCPConn, left func()), turn func(*net.TCPConn)) {
	for {
		g.wait(ctx)
		c, err := l.AcceptTCP()
		switch {
		case err == nil:
			client := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()
			if g.enter(client) {
				take(c, func() { g.leave(client) })
			} else {
				turn(c)
			}
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		default:
			logger.Error("A connection could not be accepted", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(pauseAfter):
			}
		}
	}
}
