package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/internal/gateway/upstream"
)

const (
	// continueTimeout is how long a client that asked waits for a backend's 100.
	continueTimeout = time.Second
	writeGrace      = 50 * time.Millisecond
	// What is still read of an upload that was answered early: closing with
	// unread bytes would reset the connection, and the answer could be lost.
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 4 << 20
)

var errBodyTooLarge = errors.New("the body is larger than this load balancer takes")

// upload sends a request's body to the backend while the answer is read.
type upload struct {
	x    *exchange
	conn *upstream.Conn
	ask  chan struct{} // closed: the backend wants the body
	quit chan struct{} // closed: nobody wants it any more
	done chan struct{} // closed: the goroutine has ended; the results below are valid

	asked sync.Once
	taken atomic.Bool // all of the body has been read from the client

	mu      sync.Mutex // orders deadlines
	stopped bool
	begun   bool // a byte may have been taken from the client
	broke   bool // stop ended the reading: that the client seems gone is its doing

	whole      bool
	clientErr  error
	backendErr error
}

func (x *exchange) startUpload(c *upstream.Conn) *upload {
	u := &upload{x: x, conn: c, ask: make(chan struct{}), quit: make(chan struct{}), done: make(chan struct{})}
	if !x.head.expecting {
		u.proceed()
	}
	go u.run()
	return u
}

// proceed says that the backend wants the body.
func (u *upload) proceed() { u.asked.Do(func() { close(u.ask) }) }

// stop ends the upload, wherever it is, and waits for it. When the request was
// answered, what the client still sends is read for a moment, for nobody.
func (u *upload) stop(answered bool) {
	close(u.quit)
	u.mu.Lock()
	u.stopped = true
	switch {
	case !u.begun || u.taken.Load():
	case answered:
		u.deadline(time.Now().Add(lingerTime))
	default:
		// A client that had left before has left: what it broke off may be seen here first.
		u.broke = u.x.r.Context().Err() == nil
		u.deadline(time.Unix(1, 0))
	}
	_ = u.conn.Net().SetWriteDeadline(time.Unix(1, 0))
	u.mu.Unlock()
	<-u.done
	if u.whole || !u.begun {
		u.deadline(time.Time{})
		_ = u.conn.Net().SetWriteDeadline(time.Time{})
	}
}

func (u *upload) deadline(t time.Time) {
	_ = http.NewResponseController(u.x.w).SetReadDeadline(t)
}

// complete says whether all of the body was sent. A backend that has answered
// may have overtaken the return of the last write, but not by much.
func (u *upload) complete() bool {
	t := time.NewTimer(writeGrace)
	defer t.Stop()
	select {
	case <-u.done:
		return u.whole
	case <-t.C:
		return false
	}
}

// settle says what the upload's end means for the attempt that err ended.
func (u *upload) settle(o *outcome, err error) error {
	if !u.whole {
		o.keep = false
	}
	if err == nil || u.clientErr == nil {
		return err
	}
	o.tooLarge = errors.Is(u.clientErr, errBodyTooLarge)
	o.clientGone = !o.tooLarge
	return u.clientErr
}

func (u *upload) run() {
	defer close(u.done)
	if !u.wanted() {
		return
	}
	u.mu.Lock()
	u.begun = !u.stopped
	u.mu.Unlock()
	switch {
	case !u.begun:
		return
	case u.x.head.length < 0:
		u.chunked()
	default:
		u.whole = u.copy(u.x.head.length, func(p []byte) error {
			_, err := u.conn.W.Write(p)
			return err
		})
	}
	if u.clientErr != nil {
		u.conn.Interrupt() // there will be no whole request to answer
	}
}

func (u *upload) wanted() bool {
	t := time.NewTimer(continueTimeout)
	defer t.Stop()
	select {
	case <-u.ask:
		return true
	case <-u.quit:
		return false
	case <-t.C:
		return true
	}
}

func (u *upload) chunked() {
	w := u.conn.W
	whole := u.copy(-1, func(p []byte) error {
		writeChunkSize(w, len(p))
		_, _ = w.Write(p)
		_, err := w.WriteString("\r\n")
		return err
	})
	if !whole {
		return
	}
	_, _ = w.WriteString("0\r\n")
	for name, values := range u.x.r.Trailer {
		if !inTrailer(name) {
			continue
		}
		for _, v := range values {
			writeField(w, name, v)
		}
	}
	_, _ = w.WriteString("\r\n")
	u.backendErr = w.Flush()
	u.whole = u.backendErr == nil
}

func writeChunkSize(w *bufio.Writer, n int) {
	w.Write(strconv.AppendInt(w.AvailableBuffer(), int64(n), 16))
	w.WriteString("\r\n")
}

// copy reads the body to its end and gives it to write, piece by piece, each
// sent at once. What nobody wants any more is still read, up to a limit.
func (u *upload) copy(length int64, write func([]byte) error) (whole bool) {
	buf := copyBuffers.Get().(*[copySize]byte)
	defer copyBuffers.Put(buf)
	slow := stall{timeout: time.Duration(u.x.config.Limits.IdleTimeout)}
	limit, total, unwanted := int64(u.x.config.Limits.MaxBodyBytes), int64(0), 0
	for unwanted < lingerBytes {
		u.extend(&slow)
		n, err := u.x.r.Body.Read(buf[:])
		total += int64(n)
		last := total == length || errors.Is(err, io.EOF)
		u.taken.Store(last) // before it is sent: an answer can only follow
		switch {
		case limit > 0 && total > limit:
			u.fail(errBodyTooLarge)
			return false
		case u.backendErr != nil || u.stopping():
			unwanted += n
		case n > 0:
			u.backendErr = u.send(buf[:n], write)
		}
		if last {
			return u.backendErr == nil && unwanted == 0
		}
		if err != nil {
			u.fail(fmt.Errorf("read the request's body: %w", err))
			return false
		}
	}
	return false
}

// fail notes that the client's part broke, unless it was stop that broke it.
func (u *upload) fail(err error) {
	if !u.stopping() {
		u.clientErr = err
	}
}

// extend moves the client's deadline on, but never over the one that stop set.
func (u *upload) extend(slow *stall) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.stopped {
		slow.extend(func(t time.Time) error { u.deadline(t); return nil })
	}
}

func (u *upload) send(p []byte, write func([]byte) error) error {
	if err := write(p); err != nil {
		return err
	}
	return u.conn.W.Flush()
}

func (u *upload) stopping() bool {
	select {
	case <-u.quit:
		return true
	default:
		return false
	}
}
