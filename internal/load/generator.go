package load

import (
	"bufio"
	"bytes"
	"context"
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
	NonceHeader    = "X-Nonce"
	VersionHeader  = "X-Version"
	InstanceHeader = "X-Instance"
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
		if gap > 0 {
			start = due
		}
		nonce := fmt.Sprintf("%d-%d-%d", start.UnixNano(), i, n)
		post := g.o.PostEvery > 0 && (i+n)%g.o.PostEvery == 0 // not all connections at once
		g.send(c, start, nonce, post)
		if due = due.Add(gap); gap == 0 {
			due = time.Now()
		}
	}
}

// send has one request answered, and counts it. Its time counts from start.
func (g *Generator) send(c *connection, start time.Time, nonce string, post bool) {
	o := outcome{nonce: nonce, post: post, sent: time.Now()}
	if o.idle = c.dropped(); o.idle {
		o.sent, o.err = c.used, errDropped
	} else {
		o.answer, o.err = c.exchange(nonce, post, g.body)
	}
	o.took = time.Since(start)
	g.tally.count(o)
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
	conn *net.TCPConn
	in   *bufio.Reader
	out  bytes.Buffer
	used time.Time // when the last answer was complete
}

// answer is what matters of a complete one.
type answer struct {
	status  int
	version string
	told    bool // to close the connection
}

var errDropped = errors.New("the connection was closed without a word while it was idle")

// dropped says whether the other end has closed the connection since the last
// answer, so that nothing need be sent to find that out.
func (c *connection) dropped() bool {
	if c.conn == nil || !hasEnded(c.conn) {
		return false
	}
	c.close()
	return true
}

func (c *connection) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// exchange sends one request and reads its whole answer.
func (c *connection) exchange(nonce string, post bool, body []byte) (a answer, err error) {
	defer func() {
		c.used = time.Now()
		if err != nil || a.told || c.o.Reconnect {
			c.close()
		}
	}()
	if err = c.open(); err != nil {
		return a, fmt.Errorf("connect: %w", err)
	}
	if err = c.conn.SetDeadline(time.Now().Add(c.o.Timeout)); err != nil {
		return a, fmt.Errorf("set the deadline: %w", err)
	}
	c.request(nonce, post, body)
	if _, err = c.conn.Write(c.out.Bytes()); err != nil {
		return a, fmt.Errorf("send: %w", err)
	}
	return c.answer()
}

func (c *connection) open() error {
	if c.conn != nil {
		return nil
	}
	conn, err := net.DialTimeout("tcp", c.o.Address, c.o.Timeout)
	if err != nil {
		return err
	}
	c.conn, c.in = conn.(*net.TCPConn), bufio.NewReader(conn)
	return nil
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

func (c *connection) answer() (a answer, err error) {
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return a, fmt.Errorf("read the answer: %w", err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	a = answer{status: resp.StatusCode, version: resp.Header.Get(VersionHeader), told: resp.Close && !c.o.Reconnect}
	if err != nil {
		return a, fmt.Errorf("read the answer's body: %w", err)
	}
	return a, nil
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
