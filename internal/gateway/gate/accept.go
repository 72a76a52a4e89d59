package gate

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// pauseAfter an error of accept: too many open files, say; some must end first.
const pauseAfter = 50 * time.Millisecond

// Accepting is a gate at work on a listener.
type Accepting struct {
	listener *net.TCPListener
	stop     context.CancelFunc
	done     sync.WaitGroup
}

// Start takes connections from l, which is closed by Stop. take gets each that is
// let in and calls left when it is over; turn gets the others. Both must return at once.
func (g *Gate) Start(l *net.TCPListener, logger *slog.Logger, take func(c *net.TCPConn, left func()), turn func(*net.TCPConn)) *Accepting {
	ctx, stop := context.WithCancel(context.Background())
	a := &Accepting{listener: l, stop: stop}
	a.done.Go(func() { g.accept(ctx, l, logger, take, turn) })
	return a
}

// Stop returns when nothing is taken any more and the listener is closed.
func (a *Accepting) Stop() {
	a.stop()
	_ = a.listener.Close()
	a.done.Wait()
}

func (g *Gate) accept(ctx context.Context, l *net.TCPListener, logger *slog.Logger, take func(c *net.TCPConn, left func()), turn func(*net.TCPConn)) {
	for {
		g.wait(ctx)
		c, err := l.AcceptTCP()
		switch {
		case err == nil:
			client := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()
			if left := g.enter(client, false); left != nil {
				take(c, left)
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
