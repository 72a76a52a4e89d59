package h2

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/droverhq/drover/internal/gateway/h1"
)

// Each server is a process of its own, so that its time can be told from the load's.
const serverVariable = "H2_BENCH_SERVER"

var benchBody = bytes.Repeat([]byte("x"), 128)

// TestMain may be a server.
func TestMain(m *testing.M) {
	kind := os.Getenv(serverVariable)
	if kind == "" {
		goleak.VerifyTestMain(m)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if kind == "theirs" {
		panic(serveTheirs(l))
	}
	for {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go serveOurs(c)
	}
}

func serveTheirs(l net.Listener) error {
	s := &http.Server{Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: MaxStreams}}
	s.Protocols.SetUnencryptedHTTP2(true)
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", "128")
		_, _ = w.Write(benchBody)
	})
	return s.Serve(l)
}

func serveOurs(c net.Conn) {
	defer c.Close()
	t := wire{c, bufio.NewReader(c)}
	_, _ = t.in.Discard(len(http2.ClientPreface))
	head := []h1.Field{
		{Name: []byte(":status"), Value: []byte("200")}, {Name: []byte("Content-Type"), Value: []byte("text/plain")},
		{Name: []byte("Content-Length"), Value: []byte("128")}, {Name: []byte("Date"), Value: []byte("Sat, 21 Nov 2026 08:55:34 GMT")},
	}
	NewServer(t, Options{MaxHeader: 64 << 10, Handle: func(s *Stream) {
		go func() {
			var buf [512]byte
			for {
				if _, err := s.Read(buf[:]); err != nil {
					break
				}
			}
			_ = s.WriteHead(head, false)
			_ = s.WriteData(benchBody, true)
			_ = s.Flush()
			s.Release()
		}()
	}}).Run()
}

// BenchmarkServer compares this package with the library's server, by requests a
// second and by what a request takes of a processor.
func BenchmarkServer(b *testing.B) {
	for _, kind := range []string{"ours", "theirs"} {
		for _, shape := range []struct{ conns, streams int }{{1, 1}, {8, 10}, {64, 1}, {2, 100}} {
			b.Run(fmt.Sprintf("%s/%dx%d", kind, shape.conns, shape.streams), func(b *testing.B) {
				benchServer(b, kind, shape.conns, shape.streams)
			})
		}
	}
}

func benchServer(b *testing.B, kind string, conns, streams int) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverVariable+"="+kind)
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() { benchLoad(b, strings.TrimSpace(address), max(b.N/conns, 1), streams) })
	}
	wg.Wait()
	b.StopTimer()
	in.Close()
	_ = cmd.Wait()
	used := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	cpu := time.Duration(used.Utime.Nano() + used.Stime.Nano())
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N), "cpu-ns/req")
}

// benchLoad keeps streams requests going on one connection.
func benchLoad(b *testing.B, address string, requests, streams int) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		b.Error(err)
		return
	}
	defer c.Close()
	var out, block bytes.Buffer
	out.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&out, bufio.NewReaderSize(c, 32<<10))
	f.SetReuseFrames()
	_ = f.WriteSettings()
	_ = f.WriteWindowUpdate(0, 1<<30)
	e := hpack.NewEncoder(&block)
	sent, done := 0, 0
	ask := func() {
		if sent == requests {
			return
		}
		block.Reset()
		for _, p := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", "/a/b?c=d"}, {":authority", "www.shop.example"}, {"user-agent", "bench"}, {"accept", "*/*"}} {
			_ = e.WriteField(hpack.HeaderField{Name: p[0], Value: p[1]})
		}
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*sent + 1), BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
		sent++
	}
	for range streams {
		ask()
	}
	for done < requests {
		if out.Len() > 0 {
			_, _ = c.Write(out.Bytes())
			out.Reset()
		}
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				b.Error(err)
				return
			}
			if s, ok := frame.(*http2.SettingsFrame); ok && !s.IsAck() {
				_ = f.WriteSettingsAck()
			}
			if d, ok := frame.(*http2.DataFrame); ok && d.StreamEnded() {
				done++
				ask()
				break
			}
		}
	}
}
