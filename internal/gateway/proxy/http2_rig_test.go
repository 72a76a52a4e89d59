package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// talker is a client that says frames one by one.
type talker struct {
	t      *testing.T
	conn   net.Conn
	framer *xhttp2.Framer
	out    bytes.Buffer // of the framer, until send
	block  bytes.Buffer
	hpack  *hpack.Encoder
}

// talk2 connects and says what every client of HTTP/2 begins with.
func (g *rig) talk2(settings ...xhttp2.Setting) *talker {
	g.t.Helper()
	k := &talker{t: g.t, conn: g.dial()}
	k.framer = xhttp2.NewFramer(&k.out, bufio.NewReader(k.conn))
	k.framer.AllowIllegalWrites = true
	k.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	k.hpack = hpack.NewEncoder(&k.block)
	k.out.WriteString(xhttp2.ClientPreface)
	_ = k.framer.WriteSettings(settings...)
	k.send()
	return k
}

func (k *talker) send() {
	k.t.Helper()
	if _, err := k.conn.Write(k.out.Bytes()); err != nil {
		k.t.Fatal(err)
	}
	k.out.Reset()
}

// ask opens a stream.
func (k *talker) ask(id uint32, end bool, method, path string, more ...string) {
	k.t.Helper()
	fields := append([]string{":method", method, ":scheme", "http", ":path", path, ":authority", "a.example"}, more...)
	if path == "" {
		fields = append([]string{":method", method, ":authority", "a.example:443"}, more...)
	}
	k.askFor(id, end, fields)
}

// askFor is ask with pseudo-fields.
func (k *talker) askFor(id uint32, end bool, fields []string) {
	k.t.Helper()
	k.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = k.hpack.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	_ = k.framer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: k.block.Bytes(), EndStream: end, EndHeaders: true})
	k.send()
}

// next is the next frame about streams or the connection's end, in a few words.
func (k *talker) next() string {
	k.t.Helper()
	for {
		f, err := k.framer.ReadFrame()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return "end"
			}
			return err.Error()
		}
		end := ""
		if f.Header().Flags.Has(xhttp2.FlagDataEndStream) {
			end = " end"
		}
		switch f := f.(type) {
		case *xhttp2.MetaHeadersFrame:
			if f.PseudoValue("status") == "" {
				return fmt.Sprintf("%d: trailers%s", f.StreamID, end)
			}
			return fmt.Sprintf("%d: %s%s", f.StreamID, f.PseudoValue("status"), end)
		case *xhttp2.DataFrame:
			return fmt.Sprintf("%d: %q%s", f.StreamID, f.Data(), end)
		case *xhttp2.RSTStreamFrame:
			return fmt.Sprintf("%d: RST_STREAM %s", f.StreamID, f.ErrCode)
		case *xhttp2.GoAwayFrame:
			return fmt.Sprintf("GOAWAY %d %s", f.LastStreamID, f.ErrCode)
		case *xhttp2.PingFrame:
			if !f.IsAck() { // as every client does
				_ = k.framer.WritePing(true, f.Data)
				k.send()
			}
		}
	}
}

func (k *talker) want(frames ...string) {
	k.t.Helper()
	for _, want := range frames {
		if got := k.next(); got != want {
			k.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// wantLater is want in any order and among other frames.
func (k *talker) wantLater(want ...string) {
	k.t.Helper()
	for len(want) > 0 {
		got := k.next()
		if got == "end" || strings.Contains(got, "closed") {
			k.t.Fatalf("got no %q", want)
		}
		want = slices.DeleteFunc(want, func(w string) bool { return w == got })
	}
}
