package h2

import (
	"context"
	"errors"
	"time"

	"golang.org/x/net/http2"

	"github.com/droverhq/drover/internal/gateway/h1"
)

// ErrNoRoom is the error of opening a stream on a connection that takes no more.
var ErrNoRoom = errors.New("the connection takes no more streams")

// Why a stream was broken off that this end has opened.
var (
	errRefused     = errors.New("the peer has not taken the request")
	errInterrupted = errors.New("the request was broken off")
	errSilent      = errors.New("the peer says nothing any more")
	errMalformed   = errors.New("the answer is malformed")
	errTooMuch     = errors.New("the answer's header fields are too large")
)

// alivePing is answered by a peer that lives.
var alivePing = [8]byte{'a', 'l', 'i', 'v', 'e', '?', '?', '?'}

// maxInterim bounds the interim answers that nobody has taken yet.
const maxInterim = 16

// client is the role of who asks.
type client struct{ *Conn }

// NewClient makes a connection in the role of who asks. An answer's fields, and its
// trailers, may have limit bytes.
func NewClient(t Transport, limit int) *Conn {
	c := newConn(t, limit)
	c.role, c.asks, c.spare = &client{c}, true, spareWindow
	_, _ = c.out.Write([]byte(http2.ClientPreface))
	c.greet()
	return c
}

func (r *client) settings() []http2.Setting {
	return []http2.Setting{
		{ID: http2.SettingEnablePush, Val: 0},
		{ID: http2.SettingMaxHeaderListSize, Val: uint32(r.decoder.limit)},
	}
}

func (r *client) pause() {}

// Ask is a request as a stream begins with it.
type Ask struct {
	Fields []h1.Field // pseudo-fields first
	End    bool       // there is nothing more of it
	ToHEAD bool
	// Within is how long ago the peer must have been heard; 0: that does not matter.
	Within time.Duration
}

// Open opens a stream. What it begins with goes with what follows, or with its
// Flush. Open never waits.
func (c *Conn) Open(a *Ask) (*Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.room() || a.Within > 0 && c.silent() > a.Within {
		return nil, ErrNoRoom
	}
	if c.last == 0 {
		c.last = 1
	} else {
		c.last += 2
	}
	s := newStream(c, c.last)
	s.toHEAD, s.send = a.ToHEAD, outflow(c.remote.window)
	s.Woke = len(c.streams) == 0 && s.id > 1
	s.at = c.out.handed + uint64(c.out.size())
	c.streams[s.id] = s
	c.open++
	c.idle.earn(worth)
	c.out.encode(a.Fields)
	c.out.headers(s.id, a.End)
	if a.End {
		s.finish()
	}
	return s, nil
}

// room says whether another stream may be opened.
func (c *Conn) room() bool {
	return c.ended == nil && c.leaving == staying && c.last < maxWindow-2 &&
		c.open < int(min(c.remote.streams, MaxStreams)) && len(c.streams) < 2*MaxStreams
}

// Use is what a connection is used for at the moment.
type Use struct {
	Streams   int       // in use
	IdleSince time.Time // when there was one last; while there is none
	Room      bool      // it takes another stream
	Useless   bool      // it has no stream, and takes none
}

// Use says what the connection is used for.
func (c *Conn) Use() Use {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, room := len(c.streams), c.room()
	return Use{Streams: n, IdleSince: c.waits, Room: room, Useless: n == 0 && !room}
}

// silent is for how long nothing has come.
func (c *Conn) silent() time.Duration { return c.now().Sub(c.born) - time.Duration(c.heardAt.Load()) }

// Ping waits until the peer shows that it lives.
func (c *Conn) Ping(ctx context.Context) error {
	c.mu.Lock()
	ended, pong := c.ended, c.ask()
	c.mu.Unlock()
	if ended != nil {
		return ended
	}
	select {
	case <-pong:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// ask sends a PING, unless one is on its way. What it returns is closed when that
// was answered, or never will be.
func (c *Conn) ask() <-chan struct{} {
	if c.pong == nil && c.ended == nil {
		c.pong, c.asked = make(chan struct{}), c.now()
		c.own(c.out.framer.WritePing(false, alivePing))
	}
	return c.pong
}

// answered takes note that a PING was, or never will be.
func (c *Conn) answered() {
	if c.pong != nil {
		close(c.pong)
		c.pong = nil
	}
}

// CheckAlive ends a connection with streams on which nothing has come for a while,
// and no answer to a PING within another.
func (c *Conn) CheckAlive(silence, answer time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return
	}
	now := c.now()
	for _, s := range c.streams {
		s.check(now, 0)
	}
	switch {
	case len(c.streams) == 0 || c.silent() < silence:
	case c.pong == nil:
		c.ask()
	case now.Sub(c.asked) >= answer:
		c.giveUp(http2.ErrCodeNo, errSilent)
	}
}

// begin takes a section on a stream that is gone.
func (r *client) begin(b *block, p []byte) error {
	c := r.Conn
	if err := c.decoder.decode(p, &c.decoded); err != nil {
		return err
	}
	c.decoded.reset()
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.find(b.id); err != nil {
		return err
	}
	return c.late(b.id)
}

// more takes an answer's head, an interim one or the trailers.
func (r *client) more(s *Stream, b *block) error {
	if s.answered {
		return r.trailers(s, b)
	}
	r.idle.earn(worth)
	if err := s.answer(b.end); err != nil {
		return s.broken(err, http2.ErrCodeProtocol)
	}
	s.wake.Broadcast()
	return nil
}

// broken breaks a stream off for what came on it, and says why to who uses it.
func (s *Stream) broken(err error, code http2.ErrCode) error {
	s.how = byUs
	s.breakOff(err)
	return http2.StreamError{StreamID: s.id, Code: code}
}

// goAway breaks off the streams that the peer will not look at, and opens no more.
func (r *client) goAway(f *http2.GoAwayFrame) error {
	c := r.Conn
	c.leaving = settled
	for id, s := range c.streams {
		if id > f.LastStreamID && s.err == nil {
			s.refused, s.how = !s.answered, byPeer
			s.breakOff(errRefused)
		}
	}
	c.leaveIfIdle()
	return nil
}

// shutdown opens no more streams.
func (r *client) shutdown() {
	c := r.Conn
	if c.leaving != staying || c.ended != nil {
		return
	}
	c.leaving = settled
	c.own(c.out.framer.WriteGoAway(0, http2.ErrCodeNo, nil))
	c.leaveIfIdle()
}

func (r *client) taken() uint32 { return 0 } // nothing is pushed

// reset takes the peer's word that it has broken a stream off. An answer that is
// whole stays so: the rest of the request is not wanted (RFC 9113 §8.1).
func (r *client) reset(s *Stream, code http2.ErrCode) error {
	s.refused = code == http2.ErrCodeRefusedStream && !s.answered && len(s.interim) == 0
	err := error(http2.StreamError{StreamID: s.id, Code: code, Cause: errPeerReset})
	if s.refused {
		err = errRefused
	}
	s.breakOff(err)
	return nil
}
