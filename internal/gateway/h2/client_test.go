package h2

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/droverhq/drover/internal/gateway/h1"
)

// newAsking is a connection in the role of who asks; what the rig says, the peer says.
func newAsking(t testing.TB) *rig {
	t.Helper()
	near, far := tcpPair(t)
	g := &rig{t: t, client: far, ended: make(chan struct{})}
	g.conn = NewClient(wire{near, bufio.NewReader(near)}, maxHead)
	go func() {
		defer close(g.ended)
		g.conn.Run()
		near.Close()
	}()
	in := bufio.NewReader(far)
	g.framer = http2.NewFramer(&g.out, in)
	g.framer.AllowIllegalWrites = true
	g.hpack = hpack.NewEncoder(&g.block)
	g.table = hpack.NewDecoder(4096, nil)
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(in, preface); err != nil || string(preface) != http2.ClientPreface {
		t.Fatalf("it began with %q, %v", preface, err)
	}
	t.Cleanup(func() {
		far.Close()
		<-g.ended
		if n := g.conn.Streams(); n != 0 {
			t.Errorf("%d streams are left over", n)
		}
	})
	return g
}

// ask opens a stream for a GET, and expects it to arrive.
func (g *rig) ask() *Stream {
	g.t.Helper()
	s := g.open(true)
	g.want(fmt.Sprintf("HEADERS %d :method=GET end", s.id))
	return s
}

func (g *rig) open(end bool) *Stream {
	g.t.Helper()
	s, err := g.conn.Open(&Ask{Fields: []h1.Field{field(":method", "GET")}, End: end})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(s.Release)
	_ = s.Flush()
	return s
}

// answer is the head that came, and the body.
func answerOf(s *Stream) string {
	a, err := s.Answer()
	if err != nil {
		return err.Error()
	}
	text := fmt.Sprint(a.Status)
	for _, f := range a.Fields {
		text += fmt.Sprintf(" %s=%s", f.Name, f.Value)
	}
	body, err := io.ReadAll(s)
	text += fmt.Sprintf(" %q", body)
	for _, f := range s.Trailers() {
		text += fmt.Sprintf(" %s=%s", f.Name, f.Value)
	}
	if err != nil {
		text += " " + err.Error()
	}
	return text
}

func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		say   func(g *rig)
		want  string
		reset string // what the peer is told
	}{
		"a head alone": {say: func(g *rig) { g.headers(1, true, []string{":status", "204", "a", "b"}) }, want: `204 a=b ""`},
		"a body": {say: func(g *rig) {
			g.headers(1, false, []string{":status", "200"})
			_ = g.framer.WriteData(1, false, []byte("hel"))
			_ = g.framer.WriteData(1, true, []byte("lo"))
		}, want: `200 "hello"`},
		"trailers": {say: func(g *rig) {
			g.headers(1, false, []string{":status", "200"})
			_ = g.framer.WriteData(1, false, []byte("hello"))
			g.headers(1, true, []string{"grpc-status", "0", "content-length", "7"})
		}, want: `200 "hello" grpc-status=0`},
		"a length": {say: func(g *rig) {
			g.headers(1, false, []string{":status", "200", "content-length", "2"})
			_ = g.framer.WriteData(1, true, []byte("ok"))
		}, want: `200 content-length=2 "ok"`},
		"a whole answer, and then a reset": {say: func(g *rig) {
			g.headers(1, false, []string{":status", "200"})
			_ = g.framer.WriteData(1, true, []byte("ok"))
			_ = g.framer.WriteRSTStream(1, http2.ErrCodeNo)
		}, want: `200 "ok"`},
		"a part of one, and then a reset": {say: func(g *rig) {
			g.headers(1, false, []string{":status", "200"})
			_ = g.framer.WriteData(1, false, []byte("ok"))
			_ = g.framer.WriteRSTStream(1, http2.ErrCodeInternal)
		}, want: `200 "ok" stream error: stream ID 1; INTERNAL_ERROR; the peer has reset the stream`},
		"fewer bytes than it says": {say: func(g *rig) {
			g.headers(1, false, []string{":status", "200", "content-length", "3"})
			_ = g.framer.WriteData(1, true, []byte("ok"))
		}, want: `200 content-length=3 "" the stream was reset`, reset: "RST_STREAM 1 PROTOCOL_ERROR"},
		"more bytes than it says": {say: func(g *rig) {
			g.headers(1, false, []string{":status", "200", "content-length", "1"})
			_ = g.framer.WriteData(1, true, []byte("ok"))
		}, want: `200 content-length=1 "" the stream was reset`, reset: "RST_STREAM 1 PROTOCOL_ERROR"},
		"no status":          {say: func(g *rig) { g.headers(1, true, []string{"a", "b"}) }, want: errMalformed.Error(), reset: "RST_STREAM 1 PROTOCOL_ERROR"},
		"a status that lies": {say: func(g *rig) { g.headers(1, true, []string{":status", "+20"}) }, want: errMalformed.Error(), reset: "RST_STREAM 1 PROTOCOL_ERROR"},
		"a status too small": {say: func(g *rig) { g.headers(1, true, []string{":status", "099"}) }, want: errMalformed.Error(), reset: "RST_STREAM 1 PROTOCOL_ERROR"},
		"two statuses":       {say: func(g *rig) { g.headers(1, true, []string{":status", "200", ":status", "200"}) }, want: errMalformed.Error(), reset: "RST_STREAM 1 PROTOCOL_ERROR"},
		"a path":             {say: func(g *rig) { g.headers(1, true, []string{":status", "200", ":path", "/"}) }, want: errMalformed.Error(), reset: "RST_STREAM 1 PROTOCOL_ERROR"},
		"a capital letter":   {say: func(g *rig) { g.headers(1, true, []string{":status", "200", "A", "b"}) }, want: errMalformed.Error(), reset: "RST_STREAM 1 PROTOCOL_ERROR"},
		"a line break":       {say: func(g *rig) { g.headers(1, true, []string{":status", "200", "a", "b\r\nc: d"}) }, want: errMalformed.Error(), reset: "RST_STREAM 1 PROTOCOL_ERROR"},
		"a coding":           {say: func(g *rig) { g.headers(1, true, []string{":status", "200", "transfer-encoding", "chunked"}) }, want: errMalformed.Error(), reset: "RST_STREAM 1 PROTOCOL_ERROR"},
		"a connection":       {say: func(g *rig) { g.headers(1, true, []string{":status", "200", "connection", "close"}) }, want: errMalformed.Error(), reset: "RST_STREAM 1 PROTOCOL_ERROR"},
		"two lengths": {say: func(g *rig) {
			g.headers(1, true, []string{":status", "200", "content-length", "0", "content-length", "0"})
		}, want: "there is more than one Content-Length", reset: "RST_STREAM 1 PROTOCOL_ERROR"},
		"switching protocols": {say: func(g *rig) { g.headers(1, false, []string{":status", "101"}) }, want: errMalformed.Error(), reset: "RST_STREAM 1 PROTOCOL_ERROR"},
		"an interim end":      {say: func(g *rig) { g.headers(1, true, []string{":status", "103"}) }, want: errMalformed.Error(), reset: "RST_STREAM 1 PROTOCOL_ERROR"},
		"endless interim ones": {say: func(g *rig) {
			for range maxInterim + 1 {
				g.headers(1, false, []string{":status", "103"})
			}
		}, reset: "RST_STREAM 1 PROTOCOL_ERROR"},
		"too large": {say: func(g *rig) {
			g.headers(1, true, append([]string{":status", "200"}, slices.Repeat([]string{"a", "b"}, maxFields)...))
		}, want: errTooMuch.Error(), reset: "RST_STREAM 1 PROTOCOL_ERROR"},
		"pseudo-fields in the trailers": {say: func(g *rig) {
			g.headers(1, false, []string{":status", "200"})
			g.headers(1, true, []string{":status", "200"})
		}, want: `200 "" the stream was reset`, reset: "RST_STREAM 1 PROTOCOL_ERROR"},
		"trailers that do not end": {say: func(g *rig) {
			g.headers(1, false, []string{":status", "200"})
			g.headers(1, false, []string{"a", "b"})
		}, want: `200 "" the stream was reset`, reset: "RST_STREAM 1 PROTOCOL_ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newAsking(t).greet()
			s := g.ask()
			c.say(g)
			g.send()
			if c.reset != "" {
				g.wantLater(c.reset)
			}
			if got := answerOf(s); c.want != "" && got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if s.Unprocessed() {
				t.Error("it counts as not processed")
			}
			g.headers(3, true, []string{":status", "200"}) // the others go on
			next := g.open(true)
			g.send()
			if got := answerOf(next); got != `200 ""` {
				t.Errorf("the next one got %q", got)
			}
		})
	}
}

func TestInterimAnswersAreTakenOneByOne(t *testing.T) {
	g := newAsking(t).greet()
	s := g.ask()
	g.headers(1, false, []string{":status", "100"})
	g.headers(1, false, []string{":status", "103", "link", "a"})
	g.headers(1, true, []string{":status", "200"})
	g.send()
	for _, want := range []int{100, 103, 200, 200} {
		if a, err := s.Answer(); err != nil || a.Status != want {
			t.Fatalf("got %v, %v; want %d", a, err, want)
		}
	}
}

// What a peer that is asked may not do ends the connection.
func TestOddPeers(t *testing.T) {
	for name, c := range map[string]struct {
		say  func(g *rig)
		code http2.ErrCode
	}{
		"an answer on a stream that was not opened": {func(g *rig) { g.headers(3, true, []string{":status", "200"}) }, http2.ErrCodeProtocol},
		"an answer on a stream of its own":          {func(g *rig) { g.headers(2, true, []string{":status", "200"}) }, http2.ErrCodeProtocol},
		"data on a stream that was not opened":      {func(g *rig) { _ = g.framer.WriteData(3, true, []byte("a")) }, http2.ErrCodeProtocol},
		"a reset of a stream that was not opened":   {func(g *rig) { _ = g.framer.WriteRSTStream(3, 0) }, http2.ErrCodeProtocol},
		"a window on a stream that was not opened":  {func(g *rig) { _ = g.framer.WriteWindowUpdate(3, 1) }, http2.ErrCodeProtocol},
		"a promise": {func(g *rig) {
			_ = g.framer.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true})
		}, http2.ErrCodeProtocol},
		"a window beyond all bounds": {func(g *rig) { _ = g.framer.WriteWindowUpdate(0, maxWindow) }, http2.ErrCodeFlowControl},
		"windows of streams that grow beyond bounds": {func(g *rig) {
			_ = g.framer.WriteWindowUpdate(1, maxWindow-defaultWindow)
			_ = g.framer.WriteSettings(window(maxWindow))
		}, http2.ErrCodeFlowControl},
		"fields that cannot be read": {func(g *rig) {
			_ = g.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, EndHeaders: true})
		}, http2.ErrCodeCompression},
		"a frame that is too large": {func(g *rig) { _ = g.framer.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, plainFrame+1)) }, http2.ErrCodeFrameSize},
		"endless CONTINUATION": {func(g *rig) {
			_ = g.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
			for range 100 {
				_ = g.framer.WriteContinuation(1, false, nil)
			}
		}, http2.ErrCodeEnhanceYourCalm},
		"endless SETTINGS": {func(g *rig) {
			for range 5000 {
				_ = g.framer.WriteSettings()
			}
		}, http2.ErrCodeEnhanceYourCalm},
		"endless PING": {func(g *rig) {
			for range 5000 {
				_ = g.framer.WritePing(false, [8]byte{})
			}
		}, http2.ErrCodeEnhanceYourCalm},
		"endless empty DATA": {func(g *rig) {
			g.headers(1, false, []string{":status", "200"})
			for range 5000 {
				_ = g.framer.WriteData(1, false, nil)
			}
		}, http2.ErrCodeEnhanceYourCalm},
	} {
		t.Run(name, func(t *testing.T) {
			g := newAsking(t).greet()
			s := g.ask()
			c.say(g)
			go func() { _, _ = g.client.Write(g.out.Bytes()) }()
			if a, err := s.Answer(); err == nil && a.Status != 200 {
				t.Errorf("it was answered %v", a)
			}
			select {
			case <-g.ended:
			case <-time.After(patience):
				t.Fatal("it goes on")
			}
			if got := g.conn.ended; got != http2.ConnectionError(c.code) {
				t.Errorf("it ended for %v, want %v", got, c.code)
			}
			if _, err := g.conn.Open(&Ask{}); !errors.Is(err, ErrNoRoom) {
				t.Errorf("a stream was opened: %v", err)
			}
		})
	}
}

func TestRoom(t *testing.T) {
	g := newAsking(t).greet(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 2})
	a, _ := g.ask(), g.ask()
	if _, err := g.conn.Open(&Ask{}); !errors.Is(err, ErrNoRoom) {
		t.Fatalf("a third stream: %v", err)
	}
	g.headers(a.id, true, []string{":status", "200"})
	g.send()
	if got := answerOf(a); got != `200 ""` {
		t.Fatal(got)
	}
	g.ask() // there is room again
	if u := g.conn.Use(); u.Streams != 3 || u.Room || u.Useless {
		t.Errorf("got %+v", u)
	}
}

// What a GOAWAY and a reset say of requests decides whether they can be sent again.
func TestWhatWasNotProcessed(t *testing.T) {
	for name, c := range map[string]struct {
		say  func(g *rig)
		want []bool // by stream
	}{
		"GOAWAY of the second": {func(g *rig) {
			_ = g.framer.WriteGoAway(1, http2.ErrCodeNo, nil)
			_ = g.framer.WriteRSTStream(1, http2.ErrCodeInternal)
		}, []bool{false, true}},
		"GOAWAY of all": {func(g *rig) { _ = g.framer.WriteGoAway(0, http2.ErrCodeNo, nil) }, []bool{true, true}},
		"GOAWAY of an even id": {func(g *rig) {
			_ = g.framer.WriteGoAway(2, http2.ErrCodeNo, nil)
			_ = g.framer.WriteRSTStream(1, http2.ErrCodeInternal)
		}, []bool{false, true}},
		"GOAWAY, and a lower one": {func(g *rig) {
			_ = g.framer.WriteGoAway(maxWindow, http2.ErrCodeNo, nil)
			_ = g.framer.WriteGoAway(0, http2.ErrCodeNo, nil)
		}, []bool{true, true}},
		"GOAWAY after an answer has begun": {func(g *rig) {
			g.headers(1, false, []string{":status", "200"})
			_ = g.framer.WriteGoAway(0, http2.ErrCodeNo, nil)
		}, []bool{false, true}},
		"REFUSED_STREAM": {func(g *rig) {
			_ = g.framer.WriteRSTStream(1, http2.ErrCodeRefusedStream)
			_ = g.framer.WriteRSTStream(3, http2.ErrCodeCancel)
		}, []bool{true, false}},
		"REFUSED_STREAM after an interim answer": {func(g *rig) {
			g.headers(1, false, []string{":status", "103"})
			_ = g.framer.WriteRSTStream(1, http2.ErrCodeRefusedStream)
			_ = g.framer.WriteRSTStream(3, http2.ErrCodeRefusedStream)
		}, []bool{false, true}},
		"the end of the connection": {func(g *rig) { g.out.Reset(); g.client.Close() }, []bool{false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newAsking(t).greet()
			all := []*Stream{g.ask(), g.ask()}
			c.say(g)
			_ = g.trySend()
			var got []bool
			for _, s := range all {
				for a, err := s.Answer(); err == nil; a, err = s.Answer() {
					if a.Status == 200 {
						_, _ = io.ReadAll(s)
						break
					}
				}
				got = append(got, s.Unprocessed())
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// held is a transport whose writes wait until they are let go, or fail.
type held struct {
	wire
	gate chan error
}

func (h held) Write(p []byte) (int, error) {
	if err := <-h.gate; err != nil {
		return 0, err
	}
	return h.wire.Write(p)
}

// What has not left when a connection ends never will, and may be sent elsewhere.
func TestWhatHasNotLeftIsNotSent(t *testing.T) {
	for name, broken := range map[string]error{"the peer leaves": nil, "nothing can be written": errors.New("broken")} {
		t.Run(name, func(t *testing.T) {
			near, far := tcpPair(t)
			defer near.Close()
			defer far.Close()
			h := held{wire{near, bufio.NewReader(near)}, make(chan error, 10)}
			c := NewClient(h, maxHead)
			done := make(chan struct{})
			go func() { defer close(done); c.Run() }()
			until(t, "the greeting is being written", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.out.writing && c.out.waiting == nil })
			s, err := c.Open(&Ask{Fields: []h1.Field{field(":method", "POST"), field("secret", "abc")}, End: true})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Release()
			if broken == nil {
				_ = far.(*net.TCPConn).CloseWrite() // it still reads
				if _, err := s.Answer(); err == nil {
					t.Error("it was answered")
				}
			}
			h.gate <- broken
			close(h.gate)
			<-done
			if _, err := s.Answer(); err == nil || !s.Unprocessed() {
				t.Errorf("%v, unprocessed: %v", err, s.Unprocessed())
			}
			near.Close()
			got, err := io.ReadAll(far)
			if err != nil {
				t.Fatal(err)
			}
			in := http2.NewFramer(nil, bytes.NewReader(bytes.TrimPrefix(got, []byte(http2.ClientPreface))))
			for f, err := in.ReadFrame(); err == nil; f, err = in.ReadFrame() {
				if f.Header().Type == http2.FrameHeaders {
					t.Error("it was sent all the same")
				}
			}
		})
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("waited %s for: %s", patience, what)
		}
		<-time.After(time.Millisecond)
	}
}

// A stream that nobody reads holds little, and holds up no other one.
func TestAStreamThatNobodyReadsHoldsUpNoOther(t *testing.T) {
	g := newAsking(t).greet()
	slow, quick := g.ask(), g.ask()
	g.headers(slow.id, false, []string{":status", "200"})
	g.headers(quick.id, false, []string{":status", "200"})
	left := defaultWindow
	for left > 0 {
		n := min(left, plainFrame)
		_ = g.framer.WriteData(slow.id, false, make([]byte, n))
		left -= n
	}
	g.send()
	go func() { _, _ = io.Copy(io.Discard, g.client) }()
	buf, want := make([]byte, 32<<10), 0
	for range 100 { // far more than a connection's window
		_ = g.framer.WriteData(quick.id, false, make([]byte, 16<<10))
		g.send()
		want += 16 << 10
		for want > 0 {
			n, err := quick.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			want -= n
		}
	}
	_ = g.framer.WriteData(slow.id, false, []byte("one more"))
	g.send()
	until(t, "what goes beyond the window is refused", func() bool { g.conn.mu.Lock(); defer g.conn.mu.Unlock(); return slow.err != nil })
	if _, err := io.ReadAll(slow); !errors.Is(err, errReset) {
		t.Errorf("got %v", err)
	}
}

// The windows of all streams together grow by so much and no more.
func TestWindowsGrowByWhatIsToSpare(t *testing.T) {
	g := newAsking(t).greet()
	g.conn.mu.Lock()
	g.conn.spare = 100
	g.conn.mu.Unlock()
	s := g.ask()
	g.headers(s.id, false, []string{":status", "200"})
	for range 3 {
		_ = g.framer.WriteData(s.id, false, make([]byte, 10<<10))
	}
	_ = g.framer.WriteData(s.id, false, make([]byte, 10<<10))
	g.send()
	buf, n := make([]byte, 64<<10), 0
	for n < 40<<10 {
		m, err := s.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
	g.conn.mu.Lock()
	defer g.conn.mu.Unlock()
	if s.in.size != defaultWindow+100 || g.conn.spare != 0 {
		t.Errorf("its window is %d, %d are to spare", s.in.size, g.conn.spare)
	}
}

func TestASilentConnectionIsAskedAndThenEnded(t *testing.T) {
	g := newAsking(t).greet()
	now := time.Now()
	g.conn.mu.Lock()
	g.conn.now = func() time.Time { return now }
	g.conn.mu.Unlock()
	check := func(after time.Duration) {
		g.conn.mu.Lock()
		now = now.Add(after)
		g.conn.mu.Unlock()
		g.conn.CheckAlive(10*time.Second, 20*time.Second)
	}
	check(time.Hour) // nobody waits
	s := g.ask()
	check(time.Hour)
	g.want("PING")
	_ = g.framer.WritePing(true, alivePing)
	g.send()
	until(t, "the answer is there", func() bool { g.conn.mu.Lock(); defer g.conn.mu.Unlock(); return g.conn.pong == nil })
	check(9 * time.Second)
	check(2 * time.Second)
	g.want("PING")
	check(19 * time.Second)
	check(time.Second)
	if _, err := s.Answer(); !errors.Is(err, errSilent) || s.Unprocessed() {
		t.Errorf("got %v", err)
	}
	g.want("GOAWAY 0 NO_ERROR", "end")
}

func TestPing(t *testing.T) {
	g := newAsking(t).greet()
	got := make(chan error, 1)
	go func() { got <- g.conn.Ping(t.Context()) }()
	g.want("PING")
	_ = g.framer.WritePing(true, alivePing)
	g.send()
	if err := <-got; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrNoProgress)
	if err := g.conn.Ping(ctx); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v", err)
	}
	g.client.Close()
	if err := g.conn.Ping(t.Context()); err == nil {
		t.Error("who has gone answers")
	}
}

// A client that leaves has its stream cancelled, and the connection goes on.
func TestAStreamThatIsLeftIsCancelled(t *testing.T) {
	g := newAsking(t).greet()
	s, err := g.conn.Open(&Ask{Fields: []h1.Field{field(":method", "POST")}})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Flush()
	g.want("HEADERS 1 :method=POST")
	done := make(chan error)
	go func() {
		_, err := s.Read(make([]byte, 1))
		done <- err
	}()
	s.Interrupt()
	if err := <-done; !errors.Is(err, errInterrupted) {
		t.Errorf("reading: %v", err)
	}
	if err := s.WriteData([]byte("a"), false); !errors.Is(err, errInterrupted) {
		t.Errorf("writing: %v", err)
	}
	s.Release()
	g.want("RST_STREAM 1 CANCEL")
	g.headers(1, false, []string{":status", "200"}) // it was on its way
	_ = g.framer.WriteData(1, true, []byte("late"))
	g.headers(3, true, []string{":status", "200"})
	next := g.open(true)
	g.send()
	if got := answerOf(next); got != `200 ""` {
		t.Errorf("got %q", got)
	}
}

// A write that waits for the peer's window ends with its stream's use.
func TestAWriteThatWaitsIsInterrupted(t *testing.T) {
	for name, stop := range map[string]func(*Stream){"Interrupt": (*Stream).Interrupt, "CloseWrite": (*Stream).CloseWrite} {
		t.Run(name, func(t *testing.T) {
			g := newAsking(t).greet(window(10))
			s := g.open(false)
			done := make(chan error)
			go func() { done <- s.WriteData(bytes.Repeat([]byte("x"), 100), true) }()
			g.want("HEADERS 1 :method=GET", `DATA 1 "xxxxxxxxxx"`)
			stop(s)
			if err := <-done; !errors.Is(err, errInterrupted) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestShutdownOfWhoAsks(t *testing.T) {
	g := newAsking(t).greet()
	s := g.ask()
	g.conn.Shutdown()
	g.want("GOAWAY 0 NO_ERROR")
	if _, err := g.conn.Open(&Ask{}); !errors.Is(err, ErrNoRoom) {
		t.Errorf("a stream was opened: %v", err)
	}
	g.headers(s.id, true, []string{":status", "200"})
	g.send()
	if got := answerOf(s); got != `200 ""` {
		t.Errorf("got %q", got)
	}
	s.Abandon()
	g.want("end")
}
