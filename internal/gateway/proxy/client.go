package proxy

import (
	"sync"
	"time"

	"github.com/droverhq/drover/internal/gateway/h1"
	"github.com/droverhq/drover/internal/gateway/socket"
)

// client is who sent a request, as an exchange sees it, whatever it speaks. Of a
// request's body another goroutine may read while an answer is written.
type client interface {
	// protocol is what it speaks, as logs have it.
	protocol() string
	// early is the whole body of n bytes, or of h1.LengthChunked, when that has come
	// with the head and nothing follows; else nil.
	early(n int64) []byte
	// read takes what comes of the body next; io.EOF: nothing will.
	read(p []byte) (int, error)
	// taken says whether all of the body has been read.
	taken() bool
	// trailers are the fields that came after the body.
	trailers() []h1.Field
	// limitRead sets when read fails at the latest; the zero time: never.
	limitRead(at time.Time)

	// interim passes on an answer that another one follows.
	interim(a *h1.Response) error
	// begin takes the head of the answer. It is sent with what follows.
	begin(a *h1.Response)
	// write passes on a piece of the answer's body. more: what follows, follows at once.
	write(p []byte, more bool) error
	// splice passes on, without copying them, bytes of the answer's body that wait in
	// from: at most n, and none where that is not possible or not worth it.
	splice(from *socket.Conn, n int64) (moved int64, read, write error)
	// finish ends the answer.
	finish(trailers []h1.Field) error
	// plain is an answer of the gateway's own.
	plain(status int, why string, again bool)
	// abort ends an answer so that it is seen not to be whole.
	abort()
	// takeOver gives up the connection for what has been agreed on instead of
	// HTTP; nil: it cannot be had. The caller closes it.
	takeOver() *socket.Conn
}

// expecting is whether a client that expects a 100 has got none yet, nor an answer
// for which it would be too late.
type expecting struct {
	mu   sync.Mutex
	over bool
}

func (e *expecting) reset() { e.over = false }

// proceed sends a 100, unless it is too late. No answer begins meanwhile.
func (e *expecting) proceed(send func() error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return nil
	}
	e.over = true
	return send()
}

// end is when an answer begins.
func (e *expecting) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over = true
}
