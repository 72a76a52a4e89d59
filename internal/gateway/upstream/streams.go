package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/droverhq/drover/internal/gateway/h2"
	"github.com/droverhq/drover/internal/gateway/socket"
)

const (
	// A connection with streams on which nothing has come for pingAfter, and no answer
	// to a PING within pingWithin, is broken off.
	pingAfter  = 10 * time.Second
	pingWithin = 20 * time.Second
	// aliveWithin is how long an answer to a PING is waited for by who would rather
	// have a new connection.
	aliveWithin = time.Second
	// maxAnswer bounds the fields of an answer, and of its trailers.
	maxAnswer = 1 << 20
)

// flight is one attempt to make a connection, for all who need one.
type flight struct {
	done chan struct{}
	err  error // once done is closed
}

var (
	errClosed = errors.New("connect to the backend: it is gone")
	closed    = func() chan struct{} { c := make(chan struct{}); close(c); return c }()
)

// TryOpen opens a stream on a connection of HTTP/2 that is there; nil: none takes one.
func (b *Backend) TryOpen(a *h2.Ask) *h2.Stream {
	for _, c := range b.connections() {
		if s, err := c.Open(a); err == nil {
			return s
		}
	}
	return nil
}

// Open opens a stream. Where no connection takes one, it asks those that have not
// been heard of lately whether they live, or makes another.
func (b *Backend) Open(ctx context.Context, a *h2.Ask) (*h2.Stream, error) {
	for {
		if s := b.TryOpen(a); s != nil {
			return s, nil
		}
		if b.wake(ctx) {
			continue
		}
		f := b.fly()
		select {
		case <-f.done:
			if f.err != nil {
				return nil, f.err
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// wake asks a connection that takes streams whether the other end lives. False: there
// is none.
func (b *Backend) wake(ctx context.Context) bool {
	for _, c := range b.connections() {
		u := c.Use()
		switch {
		case u.Useless:
			c.Shutdown()
		case u.Room:
			ctx, cancel := context.WithTimeout(ctx, aliveWithin)
			defer cancel()
			if c.Ping(ctx) != nil {
				c.Shutdown() // what it has goes on, as long as it lives
			}
			return true
		}
	}
	return false
}

// connections are those of HTTP/2 that there are.
func (b *Backend) connections() []*h2.Conn {
	if l := b.shared.Load(); l != nil {
		return *l
	}
	return nil
}

// fly has a connection made, or joins who is at it.
func (b *Backend) fly() *flight {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return &flight{done: closed, err: errClosed}
	case b.flight == nil:
		f := &flight{done: make(chan struct{})}
		b.flight = f
		b.running++
		go b.share(f)
	}
	return b.flight
}

// share makes a connection, and reads it to its end. Wait waits for it.
func (b *Backend) share(f *flight) {
	c, w, err := b.connect()
	b.mu.Lock()
	b.flight, f.err = nil, err
	if err == nil {
		b.changeShared(func(l []*h2.Conn) []*h2.Conn { return append(l, c) })
		if b.closed {
			c.Shutdown()
		}
	}
	b.mu.Unlock()
	close(f.done)
	if err == nil {
		c.Run()
		_ = w.TCP.Close()
		w.Drop()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changeShared(func(l []*h2.Conn) []*h2.Conn {
		return slices.DeleteFunc(l, func(other *h2.Conn) bool { return other == c })
	})
	b.running--
	b.ended.Broadcast()
}

// changeShared puts a changed copy of the list in place. The lock is held.
func (b *Backend) changeShared(change func([]*h2.Conn) []*h2.Conn) {
	l := change(slices.Clone(b.connections()))
	b.shared.Store(&l)
}

func (b *Backend) connect() (*h2.Conn, *wire, error) {
	tcp, err := b.DialTCP(context.Background()) // it ends by the dialer's time-out
	if err != nil {
		return nil, nil, err
	}
	w := &wire{}
	if err := w.Init(tcp, buffers); err != nil {
		_ = tcp.Close()
		return nil, nil, fmt.Errorf("connect to the backend: %w", err)
	}
	return h2.NewClient(w, maxAnswer), w, nil
}

// sweepShared ends connections of HTTP/2 that are not used, or lead nowhere.
func (b *Backend) sweepShared(now time.Time, retired bool) {
	for _, c := range b.connections() {
		c.CheckAlive(pingAfter, pingWithin)
		if u := c.Use(); u.Streams == 0 && (retired || now.Sub(u.IdleSince) > IdleTime) {
			c.Shutdown()
		}
	}
}

// Close retires the backend for good, and waits for the end of its connections of
// HTTP/2, which is that of their last streams.
func (b *Backend) Close() {
	b.Retire(true)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for b.running > 0 {
		b.ended.Wait()
	}
}

// wire is a connection of HTTP/2.
type wire struct {
	socket.Conn
	begun bool
}

var errHTTP1 = errors.New("the backend answers by HTTP/1.1, but backendProtocol is h2c")

// Read takes what comes next. While nothing does, the connection holds no buffer.
func (w *wire) Read(p []byte) (int, error) {
	if !w.begun {
		w.begun = true
		if err := w.Fill(); err != nil {
			return 0, err
		}
		if string(w.Conn.Buffered()[:min(5, len(w.Conn.Buffered()))]) == "HTTP/" {
			return 0, errHTTP1
		}
	}
	return w.Next(p)
}

// Buffered is how much Read has without waiting.
func (w *wire) Buffered() int { return len(w.Conn.Buffered()) }

// Stop ends the reading, and soon the writing.
func (w *wire) Stop() {
	_ = w.TCP.SetReadDeadline(time.Unix(1, 0))
	_ = w.TCP.SetWriteDeadline(time.Now().Add(time.Second))
}
