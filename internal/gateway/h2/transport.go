package h2

import "io"

// Transport is the connection below, which is somebody else's to close.
type Transport interface {
	// Read waits for bytes. Only Run's goroutine reads.
	io.Reader
	// Write takes all of p, or fails. One goroutine at a time is in it; it may wait
	// for the peer, but not for ever.
	io.Writer
	// Buffered is how many bytes can be read at once.
	Buffered() int
	// Stop has Read fail, now and from now on. Any goroutine may call it.
	Stop()
}

// input is what the framer reads.
type input struct{ conn *Conn }

func (i input) Read(p []byte) (int, error) {
	if i.conn.transport.Buffered() == 0 {
		i.conn.pause()
	}
	n, err := i.conn.transport.Read(p)
	if c := i.conn; c.asks {
		c.heardAt.Store(int64(c.now().Sub(c.born)))
	}
	return n, err
}
