package control_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// numbered asks for paths that nobody else asks for until stop is closed, on one
// connection for as long as that is kept, and returns how many were answered.
func (s *site) numbered(address, name string, stop <-chan struct{}, asked *atomic.Int64) (n int) {
	c := dialKept(s.t, address)
	for ; ; n++ {
		select {
		case <-stop:
			return n
		default:
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		closes := ""
		if n%7 == 6 {
			closes = "Connection: close\r\n"
		}
		fmt.Fprintf(c, "GET /%s/%d HTTP/1.1\r\nHost: a\r\n%s\r\n", name, n, closes)
		resp, err := http.ReadResponse(c.in, nil)
		if err != nil {
			s.t.Errorf("%s/%d: %v", name, n, err)
			return n
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		asked.Add(1)
		if resp.Close {
			c.Close()
			c = dialKept(s.t, address)
		}
	}
}

// Whichever gateway answered it, a request has exactly one line, and no line is torn.
func TestEveryRequestIsLoggedOnceThroughReplacements(t *testing.T) {
	s := newSite(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "access.log")
	address := s.serving("hello", "front", 2, func(b *resource.LoadBalancerSpec) {
		b.AccessLog = &resource.AccessLog{File: file, MaxBytes: 64 << 20, Keep: 1}
	})
	stop, want := make(chan struct{}), make([]int, 4)
	var asked atomic.Int64
	var clients sync.WaitGroup
	for i := range want {
		clients.Go(func() { want[i] = s.numbered(address, fmt.Sprint(i), stop, &asked) })
	}
	for range 3 {
		before := asked.Load()
		s.until("load runs", func() bool { return asked.Load() > before+100 })
		s.replace()
		s.finished()
	}
	close(stop)
	clients.Wait()
	s.stopControl()
	var lines map[string]int
	all := int(asked.Load())
	s.until("all is written", func() bool {
		lines = s.linesOf(file)
		return len(lines) >= all
	})
	for i, n := range want {
		for j := range n {
			if path := fmt.Sprintf("/%d/%d", i, j); lines[path] != 1 {
				t.Errorf("%s has %d lines", path, lines[path])
			}
		}
	}
	t.Logf("%d requests", all)
}

// linesOf counts the lines of each numbered path.
func (s *site) linesOf(file string) map[string]int {
	s.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	lines := map[string]int{}
	for in := bufio.NewScanner(bytes.NewReader(text)); in.Scan(); {
		var l struct{ Path string }
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			s.t.Errorf("%v: %s", err, in.Text())
		}
		if strings.Count(l.Path, "/") == 2 {
			lines[l.Path]++
		}
	}
	return lines
}
