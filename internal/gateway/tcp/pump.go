package tcp

import (
	"errors"
	"io"
	"math"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/droverhq/drover/internal/gateway/socket"
)

const bufferSize = 32 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// end is one of a session's two connections.
type end struct {
	*net.TCPConn
	raw    syscall.RawConn
	source *socket.Source

	got   *[bufferSize]byte // taken by the read that is in progress
	n     int
	err   error
	total int64                 // bytes that came
	try   func(fd uintptr) bool // tryRead, made once
}

func newEnd(c *net.TCPConn) (*end, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	e := &end{TCPConn: c, raw: raw, source: socket.NewSource(c, raw)}
	e.try = e.tryRead
	return e, nil
}

// tryRead takes a buffer only for bytes that are there: silent connections, which
// may be thousands, have none.
func (e *end) tryRead(fd uintptr) (done bool) {
	e.got = buffers.Get().(*[bufferSize]byte)
	for {
		e.n, e.err = syscall.Read(int(fd), e.got[:])
		if !errors.Is(e.err, syscall.EINTR) {
			break
		}
	}
	if errors.Is(e.err, syscall.EAGAIN) {
		e.giveBack()
		return false
	}
	return true
}

func (e *end) giveBack() {
	buffers.Put(e.got)
	e.got = nil
}

// read waits for bytes; they are in got, which is to be given back. The error is
// io.EOF when the other side has finished.
func (e *end) read() error {
	err := e.raw.Read(e.try)
	switch {
	case err != nil: // a deadline: tryRead was not called, or gave its buffer back
		return err
	case e.err == nil && e.n > 0:
		return nil
	}
	e.giveBack()
	if e.err != nil {
		return e.err
	}
	return io.EOF
}

// failure of a copy. The zero value: the source has finished.
type failure struct {
	read, write error
}

// pump copies from src to dst until src has finished or either breaks. mark is
// called after each chunk.
func pump(dst, src *end, mark func()) failure {
	for {
		if err := src.read(); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return failure{read: err}
		}
		n := src.n
		src.total += int64(n)
		mark()
		_, err := dst.Write(src.got[:n])
		src.giveBack()
		if err != nil {
			return failure{write: err}
		}
		if n == bufferSize {
			moved, read, write := src.source.Splice(dst.TCPConn, math.MaxInt64)
			src.total += moved
			if read != nil || write != nil {
				return failure{read, write}
			}
		}
		mark()
	}
}

// past is a deadline that ends what waits at once.
var past = time.Unix(1, 0)
