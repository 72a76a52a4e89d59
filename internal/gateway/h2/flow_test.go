package h2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"pgregory.net/rapid"
)

// gives answers with n bytes.
func gives(n int) func(*Stream) {
	return func(s *Stream) {
		defer s.Release()
		_ = s.WriteHead(status(200), false)
		if s.WriteData(bytes.Repeat([]byte("x"), n), true) == nil {
			_ = s.Flush()
		}
	}
}

func window(n uint32) http2.Setting {
	return http2.Setting{ID: http2.SettingInitialWindowSize, Val: n}
}

func TestNoMoreIsSentThanTheWindowsTake(t *testing.T) {
	g := newRig(t, gives(40)).greet(window(1))
	g.headers(1, true, get())
	g.headers(3, true, get())
	g.send()
	for range 4 {
		g.next() // both heads, and a byte each
	}
	_ = g.framer.WriteWindowUpdate(1, 38)
	g.send()
	g.want("DATA 1 of 38")
	_ = g.framer.WriteSettings(window(0)) // one byte less for both
	_ = g.framer.WriteWindowUpdate(1, 1)  // nothing yet
	_ = g.framer.WritePing(false, [8]byte{})
	g.send()
	g.want("SETTINGS ack", "PING ack \"\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"")
	_ = g.framer.WriteWindowUpdate(1, 1)
	g.send()
	g.want(`DATA 1 "x" end`)
	_ = g.framer.WriteSettings(window(1000))
	g.send()
	g.want("SETTINGS ack", "DATA 3 of 39 end")
}

func TestAConnectionsWindowIsShared(t *testing.T) {
	g := newRig(t, gives(defaultWindow)).greet()
	for id := uint32(1); id < 9; id += 2 {
		g.headers(id, true, get())
	}
	g.send()
	got := 0
	take := func(want int) {
		t.Helper()
		for got < want {
			var id, n int
			if _, err := fmt.Sscanf(g.next(), "DATA %d of %d", &id, &n); err == nil {
				got += n
			}
		}
	}
	take(defaultWindow)
	for range 2 {
		before := got
		_ = g.framer.WriteWindowUpdate(0, defaultWindow)
		g.send()
		take(before + defaultWindow)
		_ = g.framer.WritePing(false, [8]byte{})
		g.send()
		g.want("PING ack \"\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"") // and nothing more
	}
	if got != 3*defaultWindow {
		t.Errorf("got %d bytes", got)
	}
}

func TestWindowsThatOverflow(t *testing.T) {
	block := make(chan struct{})
	defer close(block)
	held := func(s *Stream) { <-block; s.Release() }
	g := newRig(t, held).greet()
	g.headers(1, true, get())
	_ = g.framer.WriteWindowUpdate(1, maxWindow)
	g.send()
	g.want("RST_STREAM 1 FLOW_CONTROL_ERROR")
	_ = g.framer.WriteWindowUpdate(0, maxWindow)
	g.send()
	g.want("GOAWAY 1 FLOW_CONTROL_ERROR")
	g = newRig(t, held).greet()
	g.headers(1, true, get())
	_ = g.framer.WriteWindowUpdate(1, maxWindow-defaultWindow)
	_ = g.framer.WriteSettings(window(defaultWindow + 1))
	g.send()
	g.want("GOAWAY 1 FLOW_CONTROL_ERROR")
}

// Who sends more than the windows take is told off; what was sent of a stream that
// nobody reads is bounded.
func TestNoMoreIsTakenThanTheWindowsAllow(t *testing.T) {
	block := make(chan struct{})
	defer close(block)
	g := newRig(t, func(s *Stream) { <-block; s.Release() }).greet()
	g.headers(1, false, post())
	for range defaultWindow / plainFrame {
		_ = g.framer.WriteData(1, false, make([]byte, plainFrame))
	}
	_ = g.framer.WriteData(1, false, make([]byte, plainFrame))
	g.send()
	g.want("RST_STREAM 1 FLOW_CONTROL_ERROR")

	g = newRig(t, func(s *Stream) { <-block; s.Release() }).greet()
	for i := range connWindow/(3*plainFrame) + 1 {
		g.headers(uint32(2*i+1), false, post())
		for range 3 {
			_ = g.framer.WriteData(uint32(2*i+1), false, make([]byte, plainFrame))
		}
	}
	_ = g.trySend()
	g.wantLater(fmt.Sprintf("GOAWAY %d FLOW_CONTROL_ERROR", 2*(connWindow/(3*plainFrame))+1))
}

// Streams that nobody reads must not stop others for ever, as long as anything is left of the connection's window.
func TestStreamsThatAreNotReadDoNotStopOthers(t *testing.T) {
	block := make(chan struct{})
	g := newRig(t, func(s *Stream) {
		if string(s.Request.Path) == "/held" {
			<-block
			s.Release()
			return
		}
		n, _ := io.Copy(io.Discard, s)
		_ = s.WriteHead(status(200), false)
		_ = s.WriteData([]byte(fmt.Sprint(n)), true)
		_ = s.Flush()
		s.Release()
	}).greet()
	defer close(block)
	held := connWindow / plainFrame * 9 / 10 / 3
	for i := range held {
		fields := post()
		fields[5] = "/held"
		g.headers(uint32(2*i+1), false, fields)
		for range 3 {
			_ = g.framer.WriteData(uint32(2*i+1), false, make([]byte, plainFrame))
		}
	}
	g.send()
	conn, stream, left := connWindow-held*3*plainFrame, defaultWindow, 4<<20
	id := uint32(2*held + 1)
	g.headers(id, false, post())
	for left > 0 {
		if n := min(conn, stream, left, plainFrame); n > 0 {
			conn, stream, left = conn-n, stream-n, left-n
			_ = g.framer.WriteData(id, left == 0, make([]byte, n))
			g.send()
			continue
		}
		var of uint32
		var more int
		if got := g.next(); strings.HasPrefix(got, "WINDOW_UPDATE") {
			_, _ = fmt.Sscanf(got, "WINDOW_UPDATE %d %d", &of, &more)
		} else {
			t.Fatal(got)
		}
		if of == 0 {
			conn += more
		} else {
			stream += more
		}
	}
	g.wantLater(fmt.Sprintf("DATA %d %q end", id, fmt.Sprint(4<<20)))
}

// What nobody will read any more is given back.
func TestBodiesThatAreNotReadAreGivenBack(t *testing.T) {
	g := newRig(t, func(s *Stream) {
		for n, rest := s.Buffered(); n < 3*plainFrame && !rest; n, rest = s.Buffered() {
			runtime.Gosched()
		}
		_ = s.WriteHead(status(413), true)
		_ = s.Flush()
		s.Release()
	}).greet()
	for id := uint32(1); id < 101; id += 2 {
		g.headers(id, false, post())
		for range 3 {
			_ = g.framer.WriteData(id, false, make([]byte, plainFrame))
		}
		g.send()
		g.wantLater(fmt.Sprintf("HEADERS %d :status=413 end", id))
	}
	for {
		g.conn.mu.Lock()
		n, left := len(g.conn.streams), g.conn.in.left+g.conn.in.read
		g.conn.mu.Unlock()
		if n == 0 {
			if left != connWindow {
				t.Errorf("%d of %d are left", left, connWindow)
			}
			return
		}
		runtime.Gosched()
	}
}

// The windows never allow more than their size, and are never closed for good
// while what came is used up.
func TestInflow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newInflow(rapid.IntRange(1, 1000).Draw(t, "size"))
		peer, buffered := f.left, 0 // what the peer thinks it may send
		spare := maxWindow
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if n := rapid.IntRange(0, peer).Draw(t, "sent"); !f.take(n) {
				t.Fatalf("%d of %d were refused", n, peer)
			} else {
				peer, buffered = peer-n, buffered+n
			}
			n := rapid.IntRange(0, buffered).Draw(t, "read")
			if buffered -= n; buffered == 0 {
				peer += f.grow(n, &spare)
			} else {
				peer += f.give(n)
			}
			switch {
			case peer != f.left:
				t.Fatalf("the peer thinks of %d, this end of %d", peer, f.left)
			case peer+buffered > f.size:
				t.Fatalf("%d of %d", peer+buffered, f.size)
			case peer == 0 && buffered < f.size && n > 0:
				t.Fatalf("closed, with %d of %d in use", buffered, f.size)
			}
		}
	})
}

func TestAWindowGrowsForAReaderThatKeepsUp(t *testing.T) {
	f, spare := newInflow(defaultWindow), maxWindow
	for range 20 {
		n := f.left
		f.take(n)
		f.grow(n, &spare)
	}
	if f.size != largeWindow {
		t.Errorf("it has %d", f.size)
	}
}

func TestBody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b body
		var want []byte
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			p := bytes.Repeat([]byte{byte(rapid.IntRange(0, 255).Draw(t, "byte"))}, rapid.IntRange(0, 3*partSize).Draw(t, "written"))
			b.write(p)
			want = append(want, p...)
			got := make([]byte, rapid.IntRange(0, 3*partSize).Draw(t, "read"))
			n := b.read(got)
			if n != min(len(got), len(want)) || !bytes.Equal(got[:n], want[:n]) || b.size != len(want)-n {
				t.Fatalf("read %d of %d, %d are left", n, len(want), b.size)
			}
			want = want[n:]
		}
		if n := b.clear(); n != len(want) || b.size != 0 || b.first != nil || b.last != nil {
			t.Fatalf("cleared %d of %d", n, len(want))
		}
	})
}

func TestReset(t *testing.T) {
	errs := make(chan error, 2)
	g := newRig(t, func(s *Stream) {
		defer s.Release()
		_, err := s.Read(make([]byte, 1))
		errs <- err
		errs <- s.WriteHead(status(200), true)
	}).greet()
	g.headers(1, false, post())
	_ = g.framer.WriteRSTStream(1, http2.ErrCodeCancel)
	g.send()
	for range 2 {
		if err := <-errs; !errors.Is(err, errPeerReset) {
			t.Errorf("got %v", err)
		}
	}
}
