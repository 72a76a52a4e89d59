package proxy

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/droverhq/drover/internal/gateway/h1"
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

var errBodyTooLarge = &h1.Error{Status: 413, Reason: "the body is larger than this load balancer takes"}

// upload sends a request's body to the backend while the answer is read.
type upload struct {
	x    *exchange
	link link
	ask  chan struct{} // closed: the backend wants the body
	quit chan struct{} // closed: nobody wants it any more
	done chan struct{} // closed: the goroutine has ended; the results below are valid

	asked sync.Once

	mu      sync.Mutex // orders deadlines
	stopped bool
	begun   bool // a byte may have been taken from the client

	whole      bool
	total      int64 // bytes of the body that came
	clientErr  error
	backendErr error
}

func (x *exchange) startUpload(l link) *upload {
	u := &upload{x: x, link: l, ask: make(chan struct{}), quit: make(chan struct{}), done: make(chan struct{})}
	if !x.req.Expect100 {
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
	case !u.begun || u.taken():
	case answered:
		u.x.client.limitRead(time.Now().Add(lingerTime))
	default:
		u.x.client.limitRead(time.Unix(1, 0))
	}
	u.link.stopSending()
	u.mu.Unlock()
	<-u.done
	if u.whole || !u.begun {
		u.x.client.limitRead(time.Time{})
	}
}

// taken says whether all of the body has been read from the client.
func (u *upload) taken() bool { return u.x.client.taken() }

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
	refused, ok := errors.AsType[*h1.Error](u.clientErr)
	o.refused, o.clientGone = refused, !ok
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
	if !u.begun {
		return
	}
	u.whole = u.copy() && u.end()
	if u.clientErr != nil {
		u.link.interrupt() // there will be no whole request to answer
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

// A piece of the body is at bodyAt in a buffer, so that a chunk's size fits before
// it and a chunk's end behind it.
const (
	bodyAt     = len("ffffffff\r\n")
	bodyBehind = len("\r\n")
)

// copy reads the body to its end and sends it, piece by piece, as it comes. What
// nobody wants any more is still read, up to a limit.
func (u *upload) copy() (whole bool) {
	var buf buffer
	buf.lend()
	defer buf.free()
	var slow stall
	limit, unwanted := int64(u.x.config.Limits.MaxBodyBytes), 0
	for unwanted < lingerBytes {
		u.extend(&slow)
		n, err := u.x.client.read(buf.bytes[bodyAt : len(buf.bytes)-bodyBehind])
		u.total += int64(n)
		switch {
		case limit > 0 && u.total > limit:
			u.fail(errBodyTooLarge)
			return false
		case u.backendErr != nil || u.stopping():
			unwanted += n
		case n > 0:
			u.backendErr = u.link.sendPiece(buf.bytes, n, errors.Is(err, io.EOF))
			buf.filled(bodyAt + n + bodyBehind)
		}
		if errors.Is(err, io.EOF) {
			return u.backendErr == nil && unwanted == 0
		}
		if err != nil {
			u.fail(fmt.Errorf("read the request's body: %w", err))
			u.mu.Lock()
			u.begun = u.total > 0 // of who was only waited for nothing was taken
			u.mu.Unlock()
			return false
		}
	}
	return false
}

// end ends the body.
func (u *upload) end() bool {
	u.backendErr = u.link.sendEnd(u.x.client.trailers())
	return u.backendErr == nil
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
		slow.extend(time.Duration(u.x.config.Limits.IdleTimeout), func(t time.Time) error { u.x.client.limitRead(t); return nil })
	}
}

func (u *upload) stopping() bool {
	select {
	case <-u.quit:
		return true
	default:
		return false
	}
}
