package h2

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// tape is a peer that says what is on it, and leaves.
type tape struct {
	in *bytes.Reader

	mu   sync.Mutex
	out  bytes.Buffer
	stop bool
}

func (p *tape) Buffered() int { return p.in.Len() }

func (p *tape) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop = true
}

func (p *tape) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop {
		return 0, errors.New("stopped")
	}
	return p.in.Read(b)
}

func (p *tape) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

// said checks what a peer was told.
type said struct {
	t      *testing.T
	ended  map[uint32]bool
	broken map[uint32]bool
}

func (s *said) take(f http2.Frame) {
	id := f.Header().StreamID
	switch f := f.(type) {
	case *http2.HeadersFrame:
		s.goesOn(id, f.StreamEnded())
	case *http2.DataFrame:
		s.goesOn(id, f.StreamEnded())
	case *http2.RSTStreamFrame:
		s.broken[id] = true
	}
}

func (s *said) goesOn(id uint32, end bool) {
	if s.ended[id] || s.broken[id] {
		s.t.Errorf("stream %d goes on after its end", id)
	}
	s.ended[id] = end
}

// Whatever a client says, the connection ends with it, holds nothing afterwards,
// and all that was answered can be read.
func FuzzServer(f *testing.F) {
	for _, seed := range seeds() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, frames []byte) {
		p := &tape{in: bytes.NewReader(frames)}
		var handlers sync.WaitGroup
		c := NewServer(p, Options{MaxHeader: 4 << 10, Handle: func(s *Stream) { handlers.Go(func() { echo(s) }) }})
		c.Run()
		handlers.Wait()
		c.drain()
		if n := c.Streams(); n != 0 || c.open != 0 {
			t.Fatalf("%d streams are left over, %d open", n, c.open)
		}
		r := http2.NewFramer(nil, &p.out)
		s := &said{t: t, ended: map[uint32]bool{}, broken: map[uint32]bool{}}
		for {
			frame, err := r.ReadFrame()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatalf("what was said cannot be read: %v, %v", err, r.ErrorDetail())
			}
			s.take(frame)
		}
	})
}

// seeds are what clients say, in order and out of it.
func seeds() [][]byte {
	var list [][]byte
	say := func(frames func(g *rig)) {
		g := &rig{}
		g.framer = http2.NewFramer(&g.out, nil)
		g.framer.AllowIllegalWrites = true
		g.hpack = hpack.NewEncoder(&g.block)
		_ = g.framer.WriteSettings(window(10))
		frames(g)
		list = append(list, bytes.Clone(g.out.Bytes()))
	}
	say(func(g *rig) { g.headers(1, true, get("cookie", "a", "cookie", "b")) })
	say(func(g *rig) {
		g.headers(1, false, post("content-length", "20", "expect", "100-continue"))
		_ = g.framer.WriteData(1, false, []byte("hello, hello"))
		_ = g.framer.WriteWindowUpdate(1, 100)
		_ = g.framer.WriteDataPadded(1, true, []byte("hello, h"), make([]byte, 3))
	})
	say(func(g *rig) {
		g.headers(1, false, post("te", "trailers"))
		g.headers(3, true, get())
		_ = g.framer.WriteRSTStream(3, http2.ErrCodeCancel)
		_ = g.framer.WriteData(1, false, []byte("x"))
		g.headers(1, true, []string{"grpc-status", "0"})
		_ = g.framer.WriteData(1, true, []byte("late"))
	})
	say(func(g *rig) {
		_ = g.framer.WriteSettings(window(0), http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
		_ = g.framer.WritePing(false, [8]byte{1})
		_ = g.framer.WritePriority(7, http2.PriorityParam{StreamDep: 7})
		g.headers(7, true, get())
		_ = g.framer.WriteWindowUpdate(0, 1<<31-1)
		_ = g.framer.WriteGoAway(0, http2.ErrCodeNo, []byte("bye"))
	})
	say(func(g *rig) {
		block := g.encode(get("large", strings.Repeat("x", 3000)))
		_ = g.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:100], EndStream: true})
		_ = g.framer.WriteContinuation(1, false, block[100:200])
		_ = g.framer.WriteContinuation(1, true, block[200:])
		g.headers(3, true, get("large", strings.Repeat("y", 5000)))
	})
	return append(list, []byte{}, []byte("\x00\x00\x04\x01\x05\x00\x00\x00\x01\x82\x84\x86\x41"))
}

// Whatever who is asked says, the connection ends with it, every request hears of an
// end, and nothing is held afterwards.
func FuzzClient(f *testing.F) {
	for _, seed := range answers() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, frames []byte) {
		p := &tape{in: bytes.NewReader(frames)}
		c := NewClient(p, 4<<10)
		var users sync.WaitGroup
		for n := range 3 {
			s, err := c.Open(&Ask{Fields: status(200), End: n > 0, ToHEAD: n == 2})
			if err != nil {
				t.Fatal(err)
			}
			users.Go(func() {
				defer s.Release()
				_ = s.WriteData([]byte("hello"), true)
				for a, err := s.Answer(); err == nil; a, err = s.Answer() {
					if a.Status >= 200 {
						_, _ = io.Copy(io.Discard, s)
						return
					}
				}
			})
		}
		c.Run()
		users.Wait()
		c.drain()
		if n := c.Streams(); n != 0 || c.open != 0 || c.spare != spareWindow {
			t.Fatalf("%d streams are left over, %d open, %d to spare", n, c.open, c.spare)
		}
	})
}

// answers are what fuzzing begins with.
func answers() (all [][]byte) {
	var out, block bytes.Buffer
	w, e := http2.NewFramer(&out, nil), hpack.NewEncoder(&block)
	w.AllowIllegalWrites = true
	headers := func(id uint32, end bool, fields ...string) {
		block.Reset()
		for i := 0; i < len(fields); i += 2 {
			_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndStream: end, EndHeaders: true})
	}
	keep := func() {
		all = append(all, bytes.Clone(out.Bytes()))
		out.Reset()
		e = hpack.NewEncoder(&block)
		_ = w.WriteSettings()
	}
	_ = w.WriteSettings()
	headers(1, true, ":status", "200")
	headers(3, false, ":status", "103")
	headers(3, false, ":status", "200", "content-length", "5")
	_ = w.WriteData(3, true, []byte("hello"))
	headers(5, true, ":status", "200", "content-length", "5")
	keep()
	headers(1, false, ":status", "200", "trailer", "a")
	_ = w.WriteData(1, false, []byte("hello"))
	headers(1, true, "a", "b")
	_ = w.WriteGoAway(3, http2.ErrCodeNo, nil)
	_ = w.WriteRSTStream(3, http2.ErrCodeRefusedStream)
	keep()
	_ = w.WriteWindowUpdate(0, 100)
	_ = w.WriteWindowUpdate(1, 100)
	_ = w.WriteSettings(window(3))
	_ = w.WritePing(true, alivePing)
	_ = w.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true})
	keep()
	return all
}
