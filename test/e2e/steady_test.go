package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// steady are clients that notice more of a gateway's replacement than a load of
// requests does: connections that are idle most of the time, and long bodies.
type steady struct {
	t        *testing.T
	stop     context.CancelFunc
	done     sync.WaitGroup
	idle     atomic.Int64 // requests on connections that wait for long
	bodies   atomic.Int64 // long ones, whole
	address  string
	bytes    int
	forgiven atomic.Bool
}

// startSteady keeps n idle connections, each asking once in a while, and some
// uploads and downloads of size bytes, each of which takes a while.
func (s *server) startSteady(address string, n int, every time.Duration, bytes int) *steady {
	ctx, cancel := context.WithCancel(context.Background())
	c := &steady{t: s.t, stop: cancel, address: address, bytes: bytes}
	for i := range n {
		c.done.Go(func() { c.wait(ctx, time.Duration(i)*every/time.Duration(n), every) })
	}
	for range 2 {
		c.done.Go(func() { c.repeat(ctx, c.upload) })
		c.done.Go(func() { c.repeat(ctx, c.download) })
	}
	s.t.Cleanup(func() { cancel(); c.done.Wait() })
	return c
}

// forgive is for a server that is told to end.
func (c *steady) forgive() { c.forgiven.Store(true) }

func (c *steady) complain(what string, err error) {
	if !c.forgiven.Load() {
		c.t.Errorf("%s: %v", what, err)
	}
}

// end checks that each client did what it was there for.
func (c *steady) end() {
	c.t.Helper()
	c.stop()
	c.done.Wait()
	if c.idle.Load() == 0 || c.bodies.Load() == 0 {
		c.t.Errorf("%d requests on idle connections and %d long bodies", c.idle.Load(), c.bodies.Load())
	}
	c.t.Logf("%d requests on connections that were idle, each always the same; %d bodies of %d bytes", c.idle.Load(), c.bodies.Load(), c.bytes)
}

// wait uses one connection, which nobody may end.
func (c *steady) wait(ctx context.Context, first, every time.Duration) {
	nc, err := net.Dial("tcp", c.address)
	if err != nil {
		c.t.Errorf("an idle connection: %v", err)
		return
	}
	defer nc.Close()
	in := bufio.NewReader(nc)
	for d := first; pause(ctx, d); d = every {
		if err := askKept(nc, in); err != nil {
			c.complain("a connection that was idle", err)
			return
		}
		c.idle.Add(1)
	}
}

func askKept(nc net.Conn, in *bufio.Reader) error {
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHost: steady\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || resp.Close {
		return fmt.Errorf("%s, to be closed: %v", resp.Status, resp.Close)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (c *steady) repeat(ctx context.Context, transfer func() error) {
	for ctx.Err() == nil {
		if err := transfer(); err != nil {
			c.complain("a long body", err)
			return
		}
		c.bodies.Add(1)
	}
}

const pieces = 20

func (c *steady) upload() error {
	body, to := io.Pipe()
	go func() {
		piece := make([]byte, c.bytes/pieces)
		for range pieces {
			time.Sleep(50 * time.Millisecond)
			if _, err := to.Write(piece); err != nil {
				return
			}
		}
		to.Close()
	}()
	resp, err := c.send(http.MethodPost, "/", body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && !strings.Contains(string(text), fmt.Sprintf(" %d bytes received", c.bytes/pieces*pieces)) {
		err = fmt.Errorf("%s: %s", resp.Status, text)
	}
	return err
}

func (c *steady) download() error {
	resp, err := c.send(http.MethodGet, fmt.Sprintf("/?bytes=%d", c.bytes), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got := 0
	for err == nil {
		var n int64
		n, err = io.CopyN(io.Discard, resp.Body, int64(c.bytes/pieces))
		got += int(n)
		time.Sleep(50 * time.Millisecond)
	}
	if errors.Is(err, io.EOF) && got == c.bytes {
		return nil
	}
	return fmt.Errorf("%d of %d bytes: %w", got, c.bytes, err)
}

func (c *steady) send(method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequest(method, "http://"+c.address+path, body)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	return transport.RoundTrip(req)
}
