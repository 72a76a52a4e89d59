package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Headers of requests and answers.
const (
	NonceHeader   = "X-Nonce"
	VersionHeader = "X-Version"
)

// Options of a Generator; Address is required.
type Options struct {
	Address string // HOST:PORT
	Host    string // the Host header; Address unless set
	Path    string // "/" unless set
	// Connections are used side by side; 32 unless set.
	Connections int
	// Rate is requests a second over all connections; 0: as fast as they are answered.
	Rate float64
	// PostEvery makes every nth request of a connection a POST of BodyBytes; 0: none.
	PostEvery, BodyBytes int
	// Reconnect opens a new connection for every request.
	Reconnect bool
	// Timeout of one request; 30 s unless set.
	Timeout time.Duration
	// TLS is spoken when it is not nil, to the host that it names.
	TLS *tls.Config
}

func (o Options) withDefaults() Options {
	if o.Host == "" {
		o.Host = o.Address
	}
	if o.Path == "" {
		o.Path = "/"
	}
	if o.Connections == 0 {
		o.Connections = 32
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	return o
}

func (o Options) dial() (net.Conn, error) {
	d := &net.Dialer{Timeout: o.Timeout}
	if o.TLS == nil {
		return d.Dial("tcp", o.Address)
	}
	c, err := tls.DialWithDialer(d, "tcp", o.Address, o.TLS)
	if err != nil {
		return nil, err // and not a nil *tls.Conn
	}
	return c, nil
}

// Generator keeps a load on an address.
type Generator struct {
	o     Options
	tally *tally
	body  []byte
}

// New makes a Generator; Run starts it.
func New(o Options) *Generator {
	o = o.withDefaults()
	return &Generator{o: o, tally: newTally(), body: bytes.Repeat([]byte("x"), o.BodyBytes)}
}

// Stats are the figures so far. It may be called at any time.
func (g *Generator) Stats() Stats { return g.tally.stats() }

// Run sends until ctx ends; what is in flight then is still answered and counted.
func (g *Generator) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for i := range g.o.Connections {
		wg.Go(func() { g.drive(ctx, i) })
	}
	wg.Wait()
}

// drive is one connection. With a rate, its requests have times of their own from
// which latency counts, so that a stall is seen by all requests that it delays.
func (g *Generator) drive(ctx context.Context, i int) {
	c := &connection{o: g.o}
	defer c.close()
	var gap time.Duration
	due := time.Now()
	if g.o.Rate > 0 {
		gap = time.Duration(float64(g.o.Connections) / g.o.Rate * float64(time.Second))
		due = due.Add(gap * time.Duration(i) / time.Duration(g.o.Connections))
	}
	for n := 0; wait(ctx, due); n++ {
		start := time.Now()
		sent := start
		if gap > 0 {
			start = due
		}
		nonce := fmt.Sprintf("%d-%d-%d", start.UnixNano(), i, n)
		post := g.o.PostEvery > 0 && (i+n)%g.o.PostEvery == 0 // not all connections at once
		status, version, err := c.exchange(nonce, post, g.body)
		g.tally.count(outcome{nonce: nonce, post: post, status: status, version: version, err: err, sent: sent, took: time.Since(start)})
		if due = due.Add(gap); gap == 0 {
			due = time.Now()
		}
	}
}

func wait(ctx context.Context, due time.Time) bool {
	if ctx.Err() != nil {
		return false
	}
	d := time.Until(due)
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// connection is one client connection, opened when it is needed.
type connection struct {
	o    Options
	conn net.Conn
	in   *bufio.Reader
	out  bytes.Buffer
}

func (c *connection) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// exchange sends one request and reads its whole answer.
func (c *connection) exchange(nonce string, post bool, body []byte) (status int, version string, err error) {
	defer func() {
		if err != nil || c.o.Reconnect {
			c.close()
		}
	}()
	if c.conn == nil {
		if c.conn, err = c.o.dial(); err != nil {
			return 0, "", fmt.Errorf("connect: %w", err)
		}
		c.in = bufio.NewReader(c.conn)
	}
	if err = c.conn.SetDeadline(time.Now().Add(c.o.Timeout)); err != nil {
		return 0, "", fmt.Errorf("set the deadline: %w", err)
	}
	c.request(nonce, post, body)
	if _, err = c.conn.Write(c.out.Bytes()); err != nil {
		return 0, "", fmt.Errorf("send: %w", err)
	}
	return c.answer()
}

func (c *connection) request(nonce string, post bool, body []byte) {
	c.out.Reset()
	method := "GET"
	if post {
		method = "POST"
	}
	c.out.WriteString(method + " " + c.o.Path + " HTTP/1.1\r\nHost: " + c.o.Host + "\r\n" + NonceHeader + ": " + nonce + "\r\n")
	if c.o.Reconnect {
		c.out.WriteString("Connection: close\r\n")
	}
	if post {
		c.out.WriteString("Content-Length: " + strconv.Itoa(len(body)) + "\r\n")
	}
	c.out.WriteString("\r\n")
	if post {
		c.out.Write(body)
	}
}

func (c *connection) answer() (int, string, error) {
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, "", fmt.Errorf("read the answer: %w", err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if err != nil {
		return resp.StatusCode, "", fmt.Errorf("read the answer's body: %w", err)
	}
	if resp.Close {
		c.close()
	}
	return resp.StatusCode, resp.Header.Get(VersionHeader), nil
}

// failed says whether an outcome is a failed request: no complete answer, or one
// that the gateway made itself because it had no instance to ask.
func failed(status int, err error) bool {
	if err != nil {
		return true
	}
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

func describe(o outcome) string {
	kind := "GET"
	if o.post {
		kind = "POST"
	}
	text := fmt.Sprintf("%s %s after %s: ", kind, o.nonce, o.took.Round(time.Millisecond))
	if o.err != nil {
		return text + o.err.Error()
	}
	return text + "status " + strconv.Itoa(o.status)
}

// refused says whether an outcome's error is a refused connection.
func refused(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}
