package h2

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// A peer that makes work has its connection ended.
func TestFloods(t *testing.T) {
	small := make([]byte, 0)
	id := uint32(1)
	for name, c := range map[string]struct {
		first func(*rig)
		again func(*rig)
		times int
	}{
		"streams that are reset at once": {again: func(g *rig) {
			g.headers(id, true, get())
			_ = g.framer.WriteRSTStream(id, http2.ErrCodeCancel)
			id += 2
		}, times: 5000},
		"PING":               {again: func(g *rig) { _ = g.framer.WritePing(false, [8]byte{}) }, times: 5000},
		"answers to no PING": {again: func(g *rig) { _ = g.framer.WritePing(true, [8]byte{}) }, times: 5000},
		"SETTINGS":           {again: func(g *rig) { _ = g.framer.WriteSettings() }, times: 5000},
		"many SETTINGS":      {again: func(g *rig) { _ = g.framer.WriteSettings(window(1), window(2), window(3)) }, times: 5000},
		"PRIORITY":           {again: func(g *rig) { _ = g.framer.WritePriority(5, http2.PriorityParam{StreamDep: 3}) }, times: 5000},
		"unknown frames":     {again: func(g *rig) { _ = g.framer.WriteRawFrame(0x42, 0, 0, small) }, times: 5000},
		"GOAWAY":             {again: func(g *rig) { _ = g.framer.WriteGoAway(0, http2.ErrCodeNo, nil) }, times: 5000},
		"WINDOW_UPDATE":      {again: func(g *rig) { _ = g.framer.WriteWindowUpdate(0, 1) }, times: 5000},
		"empty DATA": {first: func(g *rig) { g.headers(1, false, post()) },
			again: func(g *rig) { _ = g.framer.WriteData(1, false, nil) }, times: 5000},
		"padding": {first: func(g *rig) { g.headers(1, false, post()) },
			again: func(g *rig) { _ = g.framer.WriteDataPadded(1, false, nil, make([]byte, 10)) }, times: 5000},
		"WINDOW_UPDATE on a stream that is gone": {first: func(g *rig) {
			g.headers(1, true, get())
			g.send()
			g.wantLater(`DATA 1 "" end`)
		}, again: func(g *rig) { _ = g.framer.WriteWindowUpdate(1, 1) }, times: 5000},
		"empty CONTINUATION": {first: func(g *rig) {
			_ = g.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
		}, again: func(g *rig) { _ = g.framer.WriteContinuation(1, false, nil) }, times: 100},
		"long CONTINUATION": {first: func(g *rig) {
			_ = g.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
		}, again: func(g *rig) {
			_ = g.framer.WriteContinuation(1, false, []byte(strings.Repeat("\x82", plainFrame)))
		}, times: 20},
	} {
		t.Run(name, func(t *testing.T) {
			id = 1
			g := newRig(t, nil).greet()
			if c.first != nil {
				c.first(g)
			}
			go func() { _, _ = io.Copy(io.Discard, g.client) }()
			for range c.times {
				c.again(g)
				if g.trySend() != nil {
					break
				}
			}
			select {
			case <-g.ended:
			case <-time.After(patience):
				t.Fatal("it goes on")
			}
			if got := g.conn.ended; got != http2.ConnectionError(http2.ErrCodeEnhanceYourCalm) {
				t.Errorf("it ended for: %v", got)
			}
		})
	}
}

// What is a flood from one is a sign of life from another.
func TestWhatIsOfUseIsNoFlood(t *testing.T) {
	g := newRig(t, nil).greet()
	go func() { _, _ = io.Copy(io.Discard, g.client) }()
	id := uint32(1)
	for range 3000 {
		g.headers(id, false, post())
		_ = g.framer.WriteData(id, true, []byte("hello"))
		_ = g.framer.WriteWindowUpdate(0, 5)
		_ = g.framer.WriteWindowUpdate(id, 5)
		_ = g.framer.WritePing(false, [8]byte{})
		g.send()
		id += 2
	}
	_ = g.framer.WriteRSTStream(id, http2.ErrCodeCancel) // the only error: the stream is idle
	g.send()
	<-g.ended
	if g.conn.ended != http2.ConnectionError(http2.ErrCodeProtocol) {
		t.Errorf("it ended for: %v", g.conn.ended)
	}
}

// A peer that causes answers and reads none is held in bounds, and is not waited for.
func TestAPeerThatReadsNothing(t *testing.T) {
	g := newRig(t, nil)
	_ = g.framer.WriteSettings()
	g.conn.mu.Lock()
	g.conn.idle = allowance{left: 1 << 30, full: 1 << 30}
	g.conn.mu.Unlock()
	for range 1000 {
		_ = g.framer.WritePing(false, [8]byte{})
	}
	pings := append([]byte{}, g.out.Bytes()...)
	for sent := 0; ; sent += len(pings) {
		_ = g.client.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := g.client.Write(pings); errors.Is(err, os.ErrDeadlineExceeded) {
			break // nothing more is read
		} else if err != nil || sent > 1<<28 {
			t.Fatalf("after %d bytes: %v", sent, err)
		}
	}
	g.conn.mu.Lock()
	defer g.conn.mu.Unlock()
	if n := g.conn.out.size(); n > 32*maxOwed {
		t.Fatalf("%d bytes wait", n)
	}
	if g.conn.ended != nil {
		t.Errorf("it ended for: %v", g.conn.ended)
	}
}

// A section that is small on its way and large when it is there costs no more than
// the limit.
func TestABombOfFields(t *testing.T) {
	g := newRig(t, nil).greet()
	g.headers(1, true, get("bomb", strings.Repeat("x", 3900)))
	g.send()
	g.wantLater(`DATA 1 "" end`)
	block := append(g.encode(get()), []byte(strings.Repeat("\xbe", plainFrame-200))...) // all of the table's first
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const times = 50
	for i := range times {
		_ = g.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(3 + 2*i), BlockFragment: block, EndStream: true, EndHeaders: true})
		g.send()
		g.want(fmt.Sprintf("HEADERS %d :status=431 end", 3+2*i))
	}
	runtime.ReadMemStats(&after)
	if each := int(after.TotalAlloc-before.TotalAlloc) / times; each > 6*maxHead {
		t.Errorf("%d bytes were made of each", each)
	}
}

// Streams that hold a few bytes each hold little memory.
func TestStreamsThatSendLittle(t *testing.T) {
	block := make(chan struct{})
	defer close(block)
	g := newRig(t, func(s *Stream) { <-block; s.Release() }).greet()
	for i := range MaxStreams {
		g.headers(uint32(2*i+1), false, post())
		_ = g.framer.WriteData(uint32(2*i+1), false, []byte("x"))
		_ = g.framer.WriteData(uint32(2*i+1), false, []byte("x"))
	}
	_ = g.framer.WritePing(false, [8]byte{})
	g.send()
	g.wantLater("PING ack \"\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"")
	g.conn.mu.Lock()
	defer g.conn.mu.Unlock()
	for _, s := range g.conn.streams {
		if s.body.first != s.body.last {
			t.Fatal("two bytes are in two parts")
		}
	}
}
