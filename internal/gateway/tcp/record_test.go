package tcp

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/gateway/accesslog"
	"github.com/droverhq/drover/internal/resource"
)

type logLine struct {
	Balancer, Client, Protocol, Set, Version, Instance, Outcome string
	BytesIn, BytesOut                                           int64
	Attempts                                                    int
	DurationMs, QueueMs                                         float64
}

// logged has the front write an access log, and returns what waits for its one line.
func logged(t *testing.T) (change func(*Config), line func() logLine) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "access.log")
	l := accesslog.New("front", accesslog.Options{})
	l.Configure(&accesslog.Target{AccessLog: resource.AccessLog{File: file, MaxBytes: 1 << 30, Keep: 1}})
	t.Cleanup(l.Close)
	return func(c *Config) { c.Log, c.Set = l, "hello" }, func() (got logLine) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			text, _ := os.ReadFile(file)
			if strings.HasSuffix(string(text), "\n") {
				if err := json.Unmarshal(text, &got); err != nil {
					t.Fatalf("%v: %s", err, text)
				}
				return got
			}
			if time.Now().After(end) {
				t.Fatal("there is no line")
			}
		}
	}
}

// However its bytes were moved, a connection's line has them all.
func TestAConnectionIsLogged(t *testing.T) {
	for _, size := range []int{5, 100_000, 8 << 20} {
		change, line := logged(t)
		g := newRig(t, change)
		g.serve("a", func(c *net.TCPConn) {
			n, _ := io.Copy(io.Discard, c)
			_, _ = io.CopyN(c, zeros{}, 2*n)
		})
		c, err := net.Dial("tcp", g.address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(c, zeros{}, int64(size)); err != nil {
			t.Fatal(err)
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, c)
		c.Close()
		if err != nil || n != int64(2*size) {
			t.Fatalf("%d bytes came back, %v", n, err)
		}
		got := line()
		if got.DurationMs <= 0 || got.DurationMs < got.QueueMs {
			t.Errorf("it took %v ms, queued %v ms", got.DurationMs, got.QueueMs)
		}
		got.DurationMs, got.QueueMs = 0, 0
		want := logLine{
			Balancer: "front", Client: "127.0.0.1", Protocol: "tcp", Set: "hello", Version: "1.0.0", Instance: "a", Outcome: "answered",
			BytesIn: int64(size), BytesOut: int64(2 * size), Attempts: 1,
		}
		if got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

func TestAConnectionThatNobodyTookIsLogged(t *testing.T) {
	change, line := logged(t)
	g := newRig(t, change, func(c *Config) { c.QueueTimeout = 30 * time.Millisecond })
	c, err := net.Dial("tcp", g.address)
	switch {
	case err == nil:
		defer c.Close()
	case !errors.Is(err, syscall.ECONNRESET): // it may be turned away before Dial sees that it was taken
		t.Fatal(err)
	}
	got := line()
	if got.Outcome != "failed" || got.Instance != "" || got.Attempts != 0 || got.QueueMs < 30 {
		t.Errorf("%+v", got)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
