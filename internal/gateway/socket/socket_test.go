package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const size = 16

// pair is a connection, and its other end.
func pair(t *testing.T) (*Conn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	other, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := &Conn{}
	if err := c.Init(tcp.(*net.TCPConn), NewPool(size)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close(); other.Close() })
	for _, x := range []net.Conn{tcp, other} {
		if err := x.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	return c, other.(*net.TCPConn)
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func fill(t *testing.T, c *Conn, want string) {
	t.Helper()
	for len(c.Buffered()) < len(want) {
		if err := c.Fill(); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(c.Buffered()); got != want {
		t.Fatalf("buffered %q, want %q", got, want)
	}
}

func TestABufferIsHeldWhileThereAreBytes(t *testing.T) {
	c, other := pair(t)
	filled := make(chan error, 1)
	go func() { filled <- c.Fill() }()
	select {
	case err := <-filled:
		t.Fatalf("there is nothing to read: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	say(t, other, "abc")
	if err := <-filled; err != nil || string(c.Buffered()) != "abc" || c.buf == nil {
		t.Fatalf("buffered %q, %v", c.Buffered(), err)
	}
	c.Skip(2)
	c.Release()
	if string(c.Buffered()) != "c" {
		t.Errorf("buffered %q", c.Buffered())
	}
	c.Skip(1)
	c.Release()
	if c.buf != nil {
		t.Error("a buffer is held without bytes")
	}
	_ = c.TCP.SetReadDeadline(time.Unix(1, 0))
	if err := c.Fill(); !errors.Is(err, os.ErrDeadlineExceeded) || c.buf != nil {
		t.Errorf("a read that came too late: %v", err)
	}
	_ = c.TCP.SetReadDeadline(time.Time{})
	other.Close()
	if err := c.Fill(); err != io.EOF || c.buf != nil {
		t.Errorf("at the end: %v", err)
	}
}

func TestABufferGrowsWithWhatIsNotUsed(t *testing.T) {
	c, other := pair(t)
	long := strings.Repeat("0123456789", 100)
	say(t, other, long)
	fill(t, c, long)
	c.Skip(990)
	say(t, other, "xyz")
	fill(t, c, "0123456789xyz")
	c.Skip(13)
	c.Release()
	if b := c.pool.get(); len(b.bytes) != size {
		t.Errorf("the pool keeps a buffer of %d bytes", len(b.bytes))
	}
}

func TestReadAndUnread(t *testing.T) {
	c, other := pair(t)
	say(t, other, "head")
	fill(t, c, "head")
	c.Skip(2)
	p := make([]byte, 64)
	if n, err := c.Read(p); err != nil || string(p[:n]) != "ad" {
		t.Errorf("read %q, %v", p[:n], err)
	}
	say(t, other, "body")
	if n, err := c.Read(p); err != nil || string(p[:n]) != "body" {
		t.Errorf("read %q, %v", p[:n], err)
	}
	next := strings.Repeat("next", 10)
	c.Unread([]byte(next))
	if string(c.Buffered()) != next {
		t.Errorf("buffered %q", c.Buffered())
	}
	c.Drop()
	if len(c.Buffered()) > 0 {
		t.Errorf("buffered %q", c.Buffered())
	}
}

// A write of more than the kernel takes at once waits, ends whole, and fails when
// its time is over.
func TestWritesAreWhole(t *testing.T) {
	c, other := pair(t)
	// Else the kernel lets both grow, at times to more than is written.
	if err := errors.Join(c.TCP.SetWriteBuffer(64<<10), other.SetReadBuffer(64<<10)); err != nil {
		t.Fatal(err)
	}
	much := bytes.Repeat([]byte("0123456789"), 1<<20)
	got := make(chan []byte, 1)
	go func() {
		all, _ := io.ReadAll(io.LimitReader(other, int64(len(much))))
		got <- all
	}()
	if n, err := c.Write(much); n != len(much) || err != nil {
		t.Fatalf("wrote %d, %v", n, err)
	}
	if !bytes.Equal(<-got, much) {
		t.Error("other bytes arrived")
	}
	_ = c.TCP.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Write(much); n == len(much) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nobody reads: wrote %d, %v", n, err)
	}
	_ = c.TCP.SetWriteDeadline(time.Time{})
	_ = other.SetLinger(0)
	other.Close()
	for err := error(nil); err == nil; {
		if _, err = c.Write(much); err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("the other end is gone: %v", err)
		}
	}
}

func TestPeek(t *testing.T) {
	c, other := pair(t)
	if s := c.Peek(); s != Silent {
		t.Errorf("state %d of a silent one", s)
	}
	say(t, other, "x")
	fill(t, c, "x")
	say(t, other, "y")
	if n, err := c.TCP.Read(nil); n != 0 || err != nil {
		t.Fatal(err)
	}
	for c.Peek() == Silent { // until it has arrived
	}
	if s := c.Peek(); s != Spoke {
		t.Errorf("state %d of one with bytes", s)
	}
	fill(t, c, "xy")
	other.Close()
	for c.Peek() == Silent {
	}
	if s := c.Peek(); s != Gone {
		t.Errorf("state %d of one that has ended", s)
	}
	c.TCP.Close()
	if s := c.Peek(); s != Gone {
		t.Errorf("state %d of one that is closed", s)
	}
}
