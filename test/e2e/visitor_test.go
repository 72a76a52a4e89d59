package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/internal/load"
)

// visitor has one conversation after the other, of whatever kind, and writes down
// what became of them.
type visitor struct {
	name     string
	converse func(context.Context, *visitor) error
	// requests: what it counts as answered are requests, which the workload has noted.
	// They are seen to their end, also when the load is over.
	requests bool
	// pooled: a library holds its connections, which may send on one that has just died.
	pooled bool

	mu       sync.Mutex
	answered int
	losses   []loss
	ends     []ending
}

// loss is a conversation that went wrong, and when it was on.
type loss struct {
	span
	who string
	err error
}

func (l loss) String() string {
	return fmt.Sprintf("%s, which began %s before: %v", l.who, l.to.Sub(l.from).Round(time.Millisecond), l.err)
}

// ending is a stream's end in order.
type ending struct {
	instance   string // that served it
	opened, at time.Time
}

func (v *visitor) run(ctx context.Context) {
	for ctx.Err() == nil {
		from := time.Now()
		err := v.converse(ctx, v)
		if d, ok := errors.AsType[*droppedError](err); ok {
			from = d.used
		}
		if err != nil && (v.requests || ctx.Err() == nil) {
			v.lose(loss{span{from, time.Now()}, v.name, err})
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func (v *visitor) lose(l loss) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.losses = append(v.losses, l)
}

// count is one more request, message or event that was answered, whole and right.
func (v *visitor) count() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answered++
}

// ended is a stream's end, in order as far as the client can see.
func (v *visitor) ended(instance string, opened time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ends = append(v.ends, ending{instance, opened, time.Now()})
}

// rest waits between two messages; false: the load is over.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

var nonceNumber atomic.Int64

func newNonce(kind string) string { return fmt.Sprint(kind, "-", nonceNumber.Add(1)) }

// exchanger sends requests over what connections it has.
type exchanger interface {
	// do returns when the answer's head is there. What it gives ends with ctx.
	do(ctx context.Context, req *http.Request) (*http.Response, error)
	// done follows do, with what became of it.
	done(resp *http.Response, err error)
}

// plain is a connection of HTTP/1.1 that stays open as long as the other end lets it.
type plain struct {
	address string
	conn    net.Conn
	in      *bufio.Reader
	used    time.Time
	release func() bool
}

// droppedError: the connection was closed without a word since it was used.
type droppedError struct{ used time.Time }

func (e *droppedError) Error() string { return "the connection was closed while it was idle" }

func (p *plain) do(ctx context.Context, req *http.Request) (*http.Response, error) {
	if p.conn != nil && !p.open() {
		p.close()
		return nil, &droppedError{p.used}
	}
	if p.conn == nil {
		conn, err := net.Dial("tcp", p.address)
		if err != nil {
			return nil, err
		}
		p.conn, p.in = conn, bufio.NewReader(conn)
	}
	conn := p.conn
	p.release = context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	if err := req.Write(p.conn); err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	resp, err := http.ReadResponse(p.in, req)
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return resp, nil
}

// open says whether the other end has left the connection as it was.
func (p *plain) open() bool {
	_ = p.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := p.in.Peek(1)
	_ = p.conn.SetReadDeadline(time.Time{})
	return errors.Is(err, os.ErrDeadlineExceeded)
}

func (p *plain) done(resp *http.Response, err error) {
	p.used = time.Now()
	if p.conn == nil {
		return
	}
	if p.release(); err != nil || resp.Close {
		p.close()
	}
}

func (p *plain) close() {
	p.conn.Close()
	p.conn = nil
}

func instanceOf(h http.Header) string { return h.Get(load.InstanceHeader) }
