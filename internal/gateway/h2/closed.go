package h2

import "golang.org/x/net/http2"

// how a stream was closed.
type how uint8

const (
	byEnd   how = iota // both have said all
	byPeer             // it broke off
	byUs               // we broke off: what is on its way is to be ignored
	unknown            // long ago
)

// remembered is how many closed streams are: what was on its way when one was
// broken off must not be taken for an error.
const remembered = 128

// closed are the streams that were closed lately.
type closed struct {
	streams []closedStream
	next    int
}

type closedStream struct {
	id uint32
	how
}

func (g *closed) add(id uint32, h how) {
	if len(g.streams) < remembered {
		g.streams = append(g.streams, closedStream{id, h})
		return
	}
	g.streams[g.next%remembered] = closedStream{id, h}
	g.next++
}

// set is add for a stream that may be known.
func (g *closed) set(id uint32, h how) {
	for i := range g.streams {
		if g.streams[i].id == id {
			g.streams[i].how = h
			return
		}
	}
	g.add(id, h)
}

func (g *closed) how(id uint32) how {
	for i := range g.streams {
		if g.streams[i].id == id {
			return g.streams[i].how
		}
	}
	return unknown
}

// find returns a stream that a frame is for, or nil when it is gone. A frame for
// one that never was is an error (RFC 9113 §5.1).
func (c *Conn) find(id uint32) (*Stream, error) {
	if s := c.streams[id]; s != nil {
		return s, nil
	}
	if id > c.last || id%2 == 0 { // all streams are a client's
		return nil, http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return nil, nil
}

// late is the error of a frame that must not come on a closed stream, if it is one.
func (c *Conn) late(id uint32) error {
	switch c.gone.how(id) {
	case byUs:
		return nil
	case byEnd:
		return http2.ConnectionError(http2.ErrCodeStreamClosed)
	}
	return http2.StreamError{StreamID: id, Code: http2.ErrCodeStreamClosed}
}
