package proxy

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/droverhq/drover/internal/gateway/pool"
)

// h2c has instances spoken to by HTTP/2.
func h2c(c *Config) { c.H2C = true }

// serve2 is serve for a handler that is reached by HTTP/2.
func (g *rig) serve2(name string, h http.Handler) *pool.Member {
	g.t.Helper()
	return g.serveBy(name, h, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) })
}

func (g *rig) serveBy(name string, h http.Handler, choose func(*http.Protocols)) *pool.Member {
	g.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	p := new(http.Protocols)
	choose(p)
	srv := &http.Server{Handler: h, Protocols: p}
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(l) })
	g.t.Cleanup(func() {
		_ = srv.Close()
		wg.Wait()
	})
	return g.add(name, l.Addr().String())
}

// raw2 is a backend of HTTP/2 that is told frame by frame what to do.
type raw2 struct {
	t        *testing.T
	listener net.Listener
	accepted atomic.Int64
	requests atomic.Int64
	// settings are those that it begins with.
	settings []xhttp2.Setting
	do       act2
	wg       sync.WaitGroup
	mu       sync.Mutex
	conns    map[net.Conn]bool
	bodies   []string
	deaf     bool // to PING
	// early, which may be nil, hears of a request whose body is still to come.
	early func(c *conn2, id uint32)
}

// act2 answers one request; false: the connection is closed.
type act2 func(c *conn2, id uint32) (keep bool)

// conn2 is a connection of a raw2.
type conn2 struct {
	net.Conn
	*xhttp2.Framer
	of     *raw2
	block  bytes.Buffer
	hpack  *hpack.Encoder
	bodies map[uint32]string
	fields map[uint32][]hpack.HeaderField
}

func (g *rig) raw2(name string, do act2, settings ...xhttp2.Setting) *raw2 {
	g.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	b := &raw2{t: g.t, listener: l, do: do, settings: settings, conns: map[net.Conn]bool{}}
	b.wg.Go(b.accept)
	g.t.Cleanup(func() {
		b.die()
		b.wg.Wait()
	})
	g.add(name, l.Addr().String())
	return b
}

func (b *raw2) accept() {
	for {
		c, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.accepted.Add(1)
		b.mu.Lock()
		b.conns[c] = true
		b.mu.Unlock()
		b.wg.Go(func() { b.talk(c) })
	}
}

func (b *raw2) talk(nc net.Conn) {
	defer nc.Close()
	if _, err := io.ReadFull(nc, make([]byte, len(xhttp2.ClientPreface))); err != nil {
		return
	}
	c := &conn2{Conn: nc, Framer: xhttp2.NewFramer(nc, nc), of: b, bodies: map[uint32]string{}, fields: map[uint32][]hpack.HeaderField{}}
	c.hpack = hpack.NewEncoder(&c.block)
	c.AllowIllegalWrites = true
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = c.WriteSettings(b.settings...)
	for {
		f, err := c.ReadFrame()
		if err != nil {
			return
		}
		if id, whole := c.take(f); whole {
			b.mu.Lock()
			b.bodies = append(b.bodies, c.bodies[id])
			b.mu.Unlock()
			b.requests.Add(1)
			if !b.do(c, id) {
				return
			}
		}
	}
}

// take takes a frame, and says whether a request is whole by it.
func (c *conn2) take(f xhttp2.Frame) (id uint32, whole bool) {
	switch f := f.(type) {
	case *xhttp2.SettingsFrame:
		if !f.IsAck() {
			_ = c.WriteSettingsAck()
		}
	case *xhttp2.PingFrame:
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		if !f.IsAck() && !c.of.deaf {
			_ = c.WritePing(true, f.Data)
		}
	case *xhttp2.MetaHeadersFrame:
		c.fields[f.StreamID] = f.Fields
		if c.of.early != nil && !f.StreamEnded() {
			c.of.early(c, f.StreamID)
		}
		return f.StreamID, f.StreamEnded()
	case *xhttp2.DataFrame:
		c.bodies[f.StreamID] += string(f.Data())
		if n := uint32(len(f.Data())); n > 0 {
			_ = c.WriteWindowUpdate(0, n)
			_ = c.WriteWindowUpdate(f.StreamID, n)
		}
		return f.StreamID, f.StreamEnded()
	}
	return 0, false
}

// die is what the end of a process looks like from outside.
func (b *raw2) die() {
	b.listener.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		c.Close()
	}
}

func (c *conn2) headers(id uint32, end bool, fields ...string) {
	c.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = c.hpack.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	_ = c.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: c.block.Bytes(), EndStream: end, EndHeaders: true})
}

func answers2(status int, body string) act2 {
	return func(c *conn2, id uint32) bool {
		c.headers(id, false, ":status", strconv.Itoa(status), "content-length", strconv.Itoa(len(body)))
		_ = c.WriteData(id, true, []byte(body))
		return true
	}
}

// begins2 sends a part of an answer.
func begins2(then act2) act2 {
	return func(c *conn2, id uint32) bool {
		c.headers(id, false, ":status", "200", "content-length", "100")
		_ = c.WriteData(id, false, []byte("begun"))
		return then(c, id)
	}
}

func hangsUp2(*conn2, uint32) bool { return false }

func dies2(c *conn2, _ uint32) bool { c.of.die(); return false }

func resets2(code xhttp2.ErrCode) act2 {
	return func(c *conn2, id uint32) bool { _ = c.WriteRSTStream(id, code); return true }
}

// goesAway2 takes no more streams, and did not take the one that it is asked by.
func goesAway2(c *conn2, id uint32) bool {
	_ = c.WriteGoAway(id-min(id, 2), xhttp2.ErrCodeNo, nil)
	return true
}

// once has the first request answered otherwise than all after it.
func once(first, then act2) act2 {
	var seen atomic.Bool
	return func(c *conn2, id uint32) bool {
		if seen.CompareAndSwap(false, true) {
			return first(c, id)
		}
		return then(c, id)
	}
}

func says2(fields ...string) act2 {
	return func(c *conn2, id uint32) bool { c.headers(id, true, fields...); return true }
}

// serveBoth is serve for a handler that is reached by either protocol.
func (g *rig) serveBoth(name string, h http.Handler) *pool.Member {
	g.t.Helper()
	return g.serveBy(name, h, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true); p.SetHTTP1(true) })
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func dials(address string) bool {
	c, err := net.Dial("tcp", address)
	if err == nil {
		c.Close()
	}
	return err == nil
}
