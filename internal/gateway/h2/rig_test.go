package h2

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/droverhq/drover/internal/gateway/h1"
)

const (
	patience = 20 * time.Second
	maxHead  = 64 << 10
)

// wire is a connection with a buffer.
type wire struct {
	net.Conn
	in *bufio.Reader
}

func (w wire) Read(p []byte) (int, error) { return w.in.Read(p) }
func (w wire) Buffered() int              { return w.in.Buffered() }
func (w wire) Stop()                      { _ = w.SetReadDeadline(time.Unix(1, 0)) }

// rig is a connection in the server's role, and its client, which says what it is told to.
type rig struct {
	t      testing.TB
	conn   *Conn
	client net.Conn
	framer *http2.Framer
	out    bytes.Buffer // of the framer, until send
	block  bytes.Buffer
	hpack  *hpack.Encoder
	table  *hpack.Decoder
	ended  chan struct{} // Run has returned
}

// newRig has requests handled in goroutines of their own, or by echo.
func newRig(t testing.TB, handle func(*Stream)) *rig {
	t.Helper()
	server, client := tcpPair(t)
	return rigOn(t, server, client, handle)
}

func tcpPair(t testing.TB) (server, client net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return server, client
}

func rigOn(t testing.TB, server, client net.Conn, handle func(*Stream)) *rig {
	t.Helper()
	if handle == nil {
		handle = echo
	}
	g := &rig{t: t, client: client, ended: make(chan struct{})}
	var handlers sync.WaitGroup
	g.conn = NewServer(wire{server, bufio.NewReader(server)}, Options{MaxHeader: maxHead, Handle: func(s *Stream) {
		handlers.Go(func() { handle(s) })
	}})
	go func() {
		defer close(g.ended)
		g.conn.Run()
		handlers.Wait()
		server.Close()
	}()
	g.framer = http2.NewFramer(&g.out, bufio.NewReader(client))
	g.framer.AllowIllegalWrites = true
	g.hpack = hpack.NewEncoder(&g.block)
	g.table = hpack.NewDecoder(4096, nil)
	t.Cleanup(func() {
		client.Close()
		<-g.ended
		if n := g.conn.Streams(); n != 0 {
			t.Errorf("%d streams are left over", n)
		}
	})
	return g
}

// greet is what a client begins with, but the preface.
func (g *rig) greet(settings ...http2.Setting) *rig {
	g.t.Helper()
	_ = g.framer.WriteSettings(settings...)
	g.send()
	g.want("SETTINGS")
	g.want("WINDOW_UPDATE 0 458753")
	g.want("SETTINGS ack")
	return g
}

// send sends the frames that were written.
func (g *rig) send() {
	g.t.Helper()
	if _, err := g.client.Write(g.out.Bytes()); err != nil {
		g.t.Fatal(err)
	}
	g.out.Reset()
}

// trySend is send to an end that may be gone.
func (g *rig) trySend() error {
	_, err := g.client.Write(g.out.Bytes())
	g.out.Reset()
	return err
}

func get(more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a.example"}, more...)
}

func post(more ...string) []string {
	return append([]string{":method", "POST", ":scheme", "http", ":path", "/", ":authority", "a.example"}, more...)
}

func (g *rig) encode(fields []string) []byte {
	g.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = g.hpack.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return slices.Clone(g.block.Bytes())
}

func (g *rig) headers(id uint32, end bool, fields []string) {
	_ = g.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: g.encode(fields), EndStream: end, EndHeaders: true})
}

// next is the next frame in a few words, "end" when the connection has ended.
func (g *rig) next() string {
	g.t.Helper()
	_ = g.client.SetReadDeadline(time.Now().Add(patience))
	f, err := g.framer.ReadFrame()
	switch {
	case errors.Is(err, io.EOF):
		return "end"
	case err != nil:
		return err.Error()
	}
	end := ""
	if f.Header().Flags.Has(http2.FlagDataEndStream) {
		end = " end"
	}
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return "SETTINGS ack"
		}
		return "SETTINGS"
	case *http2.WindowUpdateFrame:
		return fmt.Sprintf("WINDOW_UPDATE %d %d", f.StreamID, f.Increment)
	case *http2.HeadersFrame:
		fields, err := g.table.DecodeFull(f.HeaderBlockFragment())
		if err != nil {
			return err.Error()
		}
		text := fmt.Sprintf("HEADERS %d", f.StreamID)
		for _, h := range fields {
			text += " " + h.Name + "=" + h.Value
		}
		return text + end
	case *http2.DataFrame:
		if len(f.Data()) > 20 {
			return fmt.Sprintf("DATA %d of %d%s", f.StreamID, len(f.Data()), end)
		}
		return fmt.Sprintf("DATA %d %q%s", f.StreamID, f.Data(), end)
	case *http2.RSTStreamFrame:
		return fmt.Sprintf("RST_STREAM %d %s", f.StreamID, f.ErrCode)
	case *http2.PingFrame:
		if f.IsAck() {
			return fmt.Sprintf("PING ack %q", f.Data)
		}
		return "PING"
	case *http2.GoAwayFrame:
		return fmt.Sprintf("GOAWAY %d %s", f.LastStreamID, f.ErrCode)
	}
	return f.Header().String()
}

func (g *rig) want(frames ...string) {
	g.t.Helper()
	for _, want := range frames {
		if got := g.next(); got != want {
			g.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// wantLater is want among other frames.
func (g *rig) wantLater(want string) {
	g.t.Helper()
	var last string
	for end := time.Now().Add(patience); last != "end" && time.Now().Before(end); {
		if last = g.next(); last == want {
			return
		}
	}
	g.t.Fatalf("got no %q, at last %q", want, last)
}

func (g *rig) wantEnd() {
	g.t.Helper()
	g.want("end")
	select {
	case <-g.ended:
	case <-time.After(patience):
		g.t.Fatal("the connection goes on")
	}
}

func field(name, value string) h1.Field { return h1.Field{Name: []byte(name), Value: []byte(value)} }

func status(n int) []h1.Field { return []h1.Field{field(":status", strconv.Itoa(n))} }

// echo answers with the body.
func echo(s *Stream) {
	defer s.Release()
	if s.Refused != nil {
		_ = s.WriteHead(status(s.Refused.Status), true)
		s.CloseRead()
		_ = s.Flush()
		return
	}
	_ = s.WriteHead(status(200), false)
	buf := make([]byte, 4096)
	for {
		n, err := s.Read(buf)
		if s.WriteData(buf[:n], false) != nil {
			return
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return
		}
	}
	if trailers := s.Trailers(); len(trailers) > 0 {
		_ = s.WriteHead(trailers, true)
	} else {
		_ = s.WriteData(nil, true)
	}
	_ = s.Flush()
}
