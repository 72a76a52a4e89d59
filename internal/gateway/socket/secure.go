package socket

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"time"
)

const (
	recordHeader = 5
	// maxPlain is what a record carries at most, maxRecord how long that makes it.
	maxPlain  = 16 << 10
	maxRecord = recordHeader + maxPlain + 256
	// goodbyeTime is how long a client that does not read keeps us from saying goodbye.
	goodbyeTime = time.Second
)

// records are buffers for what does not fit into those that a Conn was made with.
var records = NewPool(maxRecord)

// secure is TLS beneath a Conn, and, to crypto/tls, the connection below. What
// comes is kept as it came until a record is whole. So nobody but this one waits
// for the socket, with no other buffer lent; and a Conn that waits has nothing that
// was received or decrypted, but perhaps the beginning of a record.
type secure struct {
	socket *Conn
	conn   *tls.Conn
	in     store // not decrypted
	rest   int   // of a record that crypto/tls has begun to read
	// opening: hands are being shaken, and crypto/tls may wait.
	opening bool
	version string // of TLS, once it was agreed on
	left    bool   // there may be more of what was decrypted
	err     error  // the end of what comes
	// broken: of what was written an unknown part was sent, so that nothing can follow.
	broken atomic.Bool
}

// Secure has c speak TLS, as a server. Handshake has to follow. Its deadlines, and
// no others, bound each of c's methods.
func (c *Conn) Secure(config *tls.Config) {
	s := &secure{socket: c, in: store{pool: c.pool}, opening: true}
	s.conn = tls.Server(s, config)
	c.tls, c.from = s, &s.in
}

// Secured says whether c speaks TLS, and Shaken whether it may be read and written.
func (c *Conn) Secured() bool { return c.tls != nil }
func (c *Conn) Shaken() bool  { return c.tls == nil || !c.tls.opening }

// TLSVersion is that of the TLS which c speaks; empty: it speaks none.
func (c *Conn) TLSVersion() string {
	if c.tls == nil {
		return ""
	}
	return c.tls.version
}

// Handshake begins TLS, and says which protocol was agreed on for what follows.
func (c *Conn) Handshake() (protocol string, err error) {
	if err := c.tls.conn.HandshakeContext(context.Background()); err != nil {
		return "", err
	}
	c.tls.opening = false
	agreed := c.tls.conn.ConnectionState()
	c.tls.version = tls.VersionName(agreed.Version)
	return agreed.NegotiatedProtocol, nil
}

// fill puts what is decrypted next behind what is buffered.
func (s *secure) fill() error {
	c := s.socket
	for {
		if err := s.await(); err != nil {
			return err
		}
		if c.buf == nil {
			c.lend()
		} else {
			c.makeRoom(1)
		}
		n, err := s.next(c.free())
		c.w += n
		c.giveBackEmpty()
		if err != errNoRecord {
			return err
		}
	}
}

func (s *secure) read(p []byte) (int, error) {
	for {
		if err := s.await(); err != nil {
			return 0, err
		}
		if n, err := s.next(p); err != errNoRecord {
			return n, err
		}
	}
}

// await waits until there is something to decrypt, or something decrypted left.
func (s *secure) await() error {
	for s.err == nil && !s.left && !s.whole() {
		if err := s.receive(); err != nil {
			return err
		}
	}
	return s.err
}

// whole says whether there is a record, or what is left of one.
func (s *secure) whole() bool {
	have := s.in.bytes()
	return len(have) >= min(s.needed(have), maxRecord)
}

// needed is how much is needed of what crypto/tls reads next.
func (s *secure) needed(have []byte) int {
	switch {
	case s.rest > 0:
		return s.rest
	case len(have) < recordHeader:
		return recordHeader
	}
	return recordHeader + int(have[3])<<8 + int(have[4])
}

// receive waits for more to decrypt.
func (s *secure) receive() error {
	if s.in.buf != nil && len(s.in.free()) == 0 {
		s.in.moveTo(records) // there is room for a whole one
	}
	err := s.socket.receive()
	if err == io.EOF && (s.in.buf != nil || s.rest > 0) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// next decrypts what is there.
func (s *secure) next(p []byte) (int, error) {
	s.expect()
	n, err := s.conn.Read(p)
	s.left = n == len(p)
	s.in.release()
	if err != nil && err != errNoRecord {
		s.err = err
	}
	return n, err
}

// expect has records received as large as the one that is there.
func (s *secure) expect() {
	s.in.pool = s.socket.pool
	if s.needed(s.in.bytes()) > s.in.pool.size {
		s.in.pool = records
	}
}

// noRecord is an error that crypto/tls does not take for an end.
type noRecord struct{}

func (noRecord) Error() string   { return "nothing has come that is whole" }
func (noRecord) Timeout() bool   { return true }
func (noRecord) Temporary() bool { return true }

var errNoRecord error = noRecord{}

// Read gives crypto/tls what came, at most to the end of a record. It waits while
// hands are shaken, and gives what is whole later.
func (s *secure) Read(p []byte) (int, error) {
	if !s.opening && !s.whole() {
		return 0, errNoRecord
	}
	for len(s.in.bytes()) == 0 || s.rest == 0 && len(s.in.bytes()) < recordHeader {
		if err := s.receive(); err != nil {
			return 0, err
		}
	}
	have := s.in.bytes()
	s.rest = s.needed(have)
	n := copy(p, have[:min(len(have), s.rest)])
	s.in.r += n
	s.rest -= n
	if s.opening {
		s.in.release()
	}
	return n, nil
}

// Write sends a record. crypto/tls has one writer at a time.
func (s *secure) Write(p []byte) (int, error) {
	if s.broken.Load() {
		return 0, net.ErrClosed
	}
	n, err := s.socket.send(p)
	if err != nil {
		s.broken.Store(true)
	}
	return n, err
}

// writeAll fills records: one for little, and full ones for much.
func (s *secure) writeAll(pieces [][]byte) error {
	b := records.get()
	defer records.put(b)
	record, n := b.bytes[:maxPlain], 0
	for _, p := range pieces {
		for len(p) > 0 {
			if n == 0 && len(p) >= maxPlain {
				if _, err := s.conn.Write(p[:maxPlain]); err != nil {
					return err
				}
				p = p[maxPlain:]
				continue
			}
			m := copy(record[n:], p)
			n, p = n+m, p[m:]
			if n == maxPlain {
				n = 0
				if _, err := s.conn.Write(record); err != nil {
					return err
				}
			}
		}
	}
	if n == 0 {
		return nil
	}
	_, err := s.conn.Write(record[:n])
	return err
}

// notify tells the other end that nothing follows.
func (s *secure) notify() {
	if s.opening || s.broken.Load() {
		return
	}
	_ = s.socket.TCP.SetWriteDeadline(time.Now().Add(goodbyeTime))
	_ = s.conn.CloseWrite()
}

func (s *secure) drop() {
	s.in.r = s.in.w
	s.in.release()
}

// Close and deadlines are the Conn's matter, and none of crypto/tls's.

func (s *secure) Close() error                     { return nil }
func (s *secure) LocalAddr() net.Addr              { return s.socket.TCP.LocalAddr() }
func (s *secure) RemoteAddr() net.Addr             { return s.socket.TCP.RemoteAddr() }
func (s *secure) SetDeadline(time.Time) error      { return nil }
func (s *secure) SetReadDeadline(time.Time) error  { return nil }
func (s *secure) SetWriteDeadline(time.Time) error { return nil }
