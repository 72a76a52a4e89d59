package socket

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/testtool"
)

// sealed is what a client's TLS would send, for the test to send as it likes.
type sealed struct {
	net.Conn
	held []byte
}

func (s *sealed) Write(p []byte) (int, error) {
	s.held = append(s.held, p...)
	return len(p), nil
}

// securePair is a pair that has shaken hands. What client writes goes to out, which
// other is the socket of.
func securePair(t *testing.T) (c *Conn, client *tls.Conn, out *sealed, other *net.TCPConn) {
	t.Helper()
	c, other = pair(t)
	own := testtool.NewCertificate(t, time.Hour, "a")
	c.Secure(&tls.Config{Certificates: []tls.Certificate{own.Pair(t)}, NextProtos: []string{"http/1.1"}, DynamicRecordSizingDisabled: true})
	if !c.Secured() || c.Shaken() {
		t.Fatal("hands were not shaken yet")
	}
	shaken := make(chan error, 1)
	var protocol string
	go func() {
		var err error
		protocol, err = c.Handshake()
		shaken <- err
	}()
	out = &sealed{Conn: other}
	gate := &switchable{Conn: other}
	client = tls.Client(gate, &tls.Config{RootCAs: own.Trust(), ServerName: "a", NextProtos: []string{"h2", "http/1.1"}})
	if err := errors.Join(client.Handshake(), <-shaken); err != nil {
		t.Fatal(err)
	}
	if protocol != "http/1.1" || !c.Shaken() {
		t.Fatalf("the protocol is %q", protocol)
	}
	gate.to = out
	return c, client, out, other
}

// switchable writes elsewhere once that is set.
type switchable struct {
	net.Conn
	to io.Writer
}

func (s *switchable) Write(p []byte) (int, error) {
	if s.to != nil {
		return s.to.Write(p)
	}
	return s.Conn.Write(p)
}

// SetWriteDeadline leaves it to the test: crypto/tls ends all writing with its goodbye.
func (s *switchable) SetWriteDeadline(time.Time) error { return nil }

// A secure Conn that waits holds no buffer, or the beginning of a record.
func TestASecureConnHoldsWhatHasCome(t *testing.T) {
	c, client, out, other := securePair(t)
	late := func(what string) {
		t.Helper()
		_ = c.TCP.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if err := c.Fill(); !errors.Is(err, os.ErrDeadlineExceeded) || c.buf != nil {
			t.Fatalf("%s: %v, buffered %q", what, err, c.Buffered())
		}
		_ = c.TCP.SetReadDeadline(time.Time{})
	}
	late("nothing")
	if c.tls.in.buf != nil {
		t.Error("a buffer is held for nothing")
	}
	say(t, client, "hello")
	record := out.held
	say(t, other, string(record[:9]))
	late("a beginning")
	if got := len(c.tls.in.bytes()); got != 9 {
		t.Errorf("%d bytes are held of 9", got)
	}
	say(t, other, string(record[9:]))
	fill(t, c, "hello")
	c.Skip(5)
	c.Release()
	if c.buf != nil || c.tls.in.buf != nil {
		t.Error("a buffer is held after its use")
	}
}

// Records of any size pass whole, also when many come at once, and buffers for large
// ones are given back.
func TestRecordsOfAnySize(t *testing.T) {
	c, client, out, other := securePair(t)
	for _, size := range []int{1, 100, maxPlain, 3 * maxPlain, 100_000} {
		out.held = nil
		want := strings.Repeat("x", size-1) + "y"
		say(t, client, want)
		sent := make(chan error, 1)
		go func() { _, err := other.Write(out.held); sent <- err }()
		got := make([]byte, size)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if c.tls.in.buf != nil {
			t.Errorf("%d bytes: a buffer is held", size)
		}
	}
}

func TestTheEndOfASecureConn(t *testing.T) {
	t.Run("is said", func(t *testing.T) {
		c, client, out, other := securePair(t)
		if err := client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		say(t, other, string(out.held))
		for range 2 {
			if err := c.Fill(); err != io.EOF {
				t.Errorf("got %v", err)
			}
		}
	})
	t.Run("comes in a record", func(t *testing.T) {
		c, client, out, other := securePair(t)
		say(t, client, "hello")
		say(t, other, string(out.held[:10]))
		other.Close()
		if err := c.Fill(); err != io.ErrUnexpectedEOF {
			t.Errorf("got %v", err)
		}
	})
	t.Run("is said by us", func(t *testing.T) {
		c, _, _, other := securePair(t)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		goodbye := []byte{23, 3, 3, 0, 2 + 1 + 16} // the header of an alert's record
		all, err := io.ReadAll(other)
		if at := len(all) - len(goodbye) - 19; err != nil || at < 0 || !bytes.HasPrefix(all[at:], goodbye) {
			t.Errorf("%d bytes came, %v, and no goodbye at the end", len(all), err)
		}
	})
	t.Run("is a reset", func(t *testing.T) {
		c, client, _, _ := securePair(t)
		c.Abort()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if _, err := client.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("got %v", err)
		}
	})
}

// What another end sent last is told from a request only by its length.
func TestPeekAtTLS(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(client *tls.Conn, out *sealed, other *net.TCPConn)
		want State
	}{
		"nothing":   {func(*tls.Conn, *sealed, *net.TCPConn) {}, Silent},
		"a request": {func(c *tls.Conn, o *sealed, other *net.TCPConn) { _, _ = io.WriteString(c, "GET / HTTP/1.0\r\n\r\n") }, Spoke},
		"a goodbye": {func(c *tls.Conn, o *sealed, other *net.TCPConn) { _ = c.CloseWrite() }, Spoke},
		"a request, and gone": {func(c *tls.Conn, o *sealed, other *net.TCPConn) {
			_, _ = io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
			_ = c.CloseWrite()
		}, Spoke},
		"a goodbye, and gone":  {func(c *tls.Conn, o *sealed, other *net.TCPConn) { _ = c.CloseWrite() }, Gone},
		"gone without goodbye": {func(*tls.Conn, *sealed, *net.TCPConn) {}, Gone},
	} {
		t.Run(name, func(t *testing.T) {
			conn, client, out, other := securePair(t)
			c.do(client, out, other)
			say(t, other, string(out.held))
			if strings.Contains(name, "gone") {
				_ = other.CloseWrite()
			}
			for end := time.Now().Add(10 * time.Second); conn.Peek() != c.want; {
				if time.Now().After(end) {
					t.Fatalf("the state is %d, want %d", conn.Peek(), c.want)
				}
			}
		})
	}
}

// Pieces are joined to full records.
func TestPiecesFillRecords(t *testing.T) {
	c, client, _, _ := securePair(t)
	pieces := net.Buffers{[]byte("head"), []byte(strings.Repeat("x", 40_000)), []byte("end")}
	want := "head" + strings.Repeat("x", 40_000) + "end"
	sent := make(chan error, 1)
	go func() { sent <- c.WriteAll(&pieces) }()
	var reads []int
	got := make([]byte, 0, len(want))
	for len(got) < len(want) {
		p := make([]byte, 2*maxPlain)
		n, err := client.Read(p) // one record at most
		if err != nil {
			t.Fatal(err)
		}
		reads, got = append(reads, n), append(got, p[:n]...)
	}
	if err := <-sent; err != nil || string(got) != want || len(reads) != 3 || reads[0] != maxPlain || reads[1] != maxPlain {
		t.Errorf("%v, records of %v", err, reads)
	}
}
