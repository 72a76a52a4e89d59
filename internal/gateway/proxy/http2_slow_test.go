package proxy

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/droverhq/drover/internal/resource"
)

// said2 is what a client of HTTP/2 says: it begins, and goes on as it is told.
func said2(then func(f *xhttp2.Framer, head []byte), settings ...xhttp2.Setting) []byte {
	var out, block bytes.Buffer
	out.WriteString(xhttp2.ClientPreface)
	f := xhttp2.NewFramer(&out, nil)
	_ = f.WriteSettings(settings...)
	e := hpack.NewEncoder(&block)
	for _, p := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", "/"}, {":authority", "www.shop.example"}, {"user-agent", "a client of some kind"}} {
		_ = e.WriteField(hpack.HeaderField{Name: p[0], Value: p[1]})
	}
	then(f, block.Bytes())
	return out.Bytes()
}

// What HTTP/2 clients that are slow, or do nothing, make the gateway hold.
func TestSlowClientsOfHTTP2(t *testing.T) {
	const clients = 300
	part := func(id uint32, end bool, head []byte) xhttp2.HeadersFrameParam {
		return xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: head, EndStream: end, EndHeaders: true}
	}
	for _, kind := range []struct {
		name string
		says []byte
		each int // bytes of memory; this process is the clients and the backend too
		busy int // streams that wait for something
	}{
		{"nothing", said2(func(*xhttp2.Framer, []byte) {}), 20 << 10, 0},
		{"answered", said2(func(f *xhttp2.Framer, head []byte) { _ = f.WriteHeaders(part(1, true, head)) }), 40 << 10, 0},
		{"a part of a head", said2(func(f *xhttp2.Framer, head []byte) {
			_ = f.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: head})
		}), 24 << 10, 0},
		{"a part of a frame", said2(func(f *xhttp2.Framer, _ []byte) {
			_ = f.WriteRawFrame(xhttp2.FrameHeaders, 0, 1, make([]byte, 16<<10))
		})[:200], 44 << 10, 0},
		{"20 bodies", said2(func(f *xhttp2.Framer, head []byte) {
			for id := uint32(1); id < 41; id += 2 {
				_ = f.WriteHeaders(part(id, false, head))
				_ = f.WriteData(id, false, []byte("x"))
			}
		}), 20 * 44 << 10, 20},
		{"20 answers that are not taken", said2(func(f *xhttp2.Framer, head []byte) {
			for id := uint32(1); id < 41; id += 2 {
				_ = f.WriteHeaders(part(id, true, head))
			}
		}, xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1}), 20 * 60 << 10, 20},
	} {
		t.Run(kind.name, func(t *testing.T) {
			clients := clients / max(1, kind.busy/4)
			g := newRig(t, func(c *Config) {
				c.Limits.HeaderTimeout = resource.Duration(time.Hour)
				c.Limits.IdleTimeout = resource.Duration(time.Hour)
			})
			g.raw("a", answers(200, strings.Repeat("x", 100)))
			g.healthy(100)
			before := memory()
			for range clients {
				c, err := net.Dial("tcp", g.address)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if _, err := c.Write(kind.says); err != nil {
					t.Fatal(err)
				}
			}
			until(t, "all are there", func() bool {
				streams, speak := 0, 0
				for _, c := range g.front.connections(nil) {
					c.mu.Lock()
					if c.many != nil {
						speak++
						streams += c.many.h2.Streams()
					}
					c.mu.Unlock()
				}
				return speak == clients && streams == kind.busy*clients && (kind.name != "answered" || countsOf(&g.counters).requests == uint64(100+clients))
			})
			g.healthy(100)
			each := (memory() - before) / clients
			t.Logf("%d bytes a connection", each)
			if each > kind.each*costOfMemory {
				t.Errorf("a slow connection holds %d bytes, more than %d", each, kind.each)
			}
		})
	}
}
