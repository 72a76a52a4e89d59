package proxy

import (
	"io"
	"sync/atomic"

	"github.com/droverhq/drover/internal/gateway/h1"
	"github.com/droverhq/drover/internal/gateway/socket"
)

// maxTrailers bounds a trailer section, which is decoded in one piece.
const maxTrailers = copySize / 2

// body is that of a request, as it comes over a connection of HTTP/1.1.
type body struct {
	in     *socket.Conn
	left   int64 // of its Content-Length
	chunks *h1.Chunked
	coded  buffer // what was read of a chunked one
	begin  int    // of what is not decoded in coded
	end    int
	piece  []byte // of coded: decoded, but not taken
	whole  atomic.Bool
}

// start makes ready for the body of a request whose head has been taken from in.
func (b *body) start(in *socket.Conn, length int64, chunks *h1.Chunked, limits h1.Limits) {
	b.in, b.left, b.chunks, b.piece = in, length, nil, nil
	b.whole.Store(length == 0)
	if length == h1.LengthChunked {
		limits.Bytes = min(limits.Bytes, maxTrailers)
		chunks.Reset(limits)
		b.chunks = chunks
	}
}

// early is the whole body, if it is n bytes that have been read already.
func (b *body) early(n int64) []byte {
	have := b.in.Buffered()
	if b.chunks != nil || int64(len(have)) < n {
		return nil
	}
	b.in.Skip(int(n))
	b.whole.Store(true)
	return have[:n:n]
}

func (b *body) read(p []byte) (int, error) {
	switch {
	case b.whole.Load():
		return 0, io.EOF
	case b.chunks != nil:
		return b.decode(p)
	}
	n, err := b.in.Read(p[:min(int64(len(p)), b.left)])
	if b.left -= int64(n); b.left == 0 {
		b.whole.Store(true)
		return n, io.EOF
	}
	return n, unexpected(err)
}

// unexpected is the error of reading something that is not at its end.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (b *body) decode(p []byte) (n int, err error) {
	if b.coded.bytes == nil {
		b.coded.lend()
		b.begin, b.end = 0, 0
	}
	for n < len(p) {
		if len(b.piece) > 0 {
			m := copy(p[n:], b.piece)
			n, b.piece = n+m, b.piece[m:]
			continue
		}
		var used int
		b.piece, used, err = b.chunks.Next(b.coded.bytes[b.begin:b.end])
		b.begin += used
		switch {
		case err != nil:
			return n, err
		case b.chunks.Done():
			b.whole.Store(true)
			return n, io.EOF
		case len(b.piece) > 0:
			continue
		case n > 0:
			return n, nil
		}
		if err := b.more(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// more reads behind what could not be decoded yet.
func (b *body) more() error {
	b.coded.filled(b.end - b.begin)
	b.end = copy(b.coded.bytes, b.coded.bytes[b.begin:b.end])
	b.begin = 0
	n, err := b.in.Read(b.coded.bytes[b.end:])
	b.end += n
	if n > 0 {
		return nil
	}
	return unexpected(err)
}

// stop gives back what the body held. What was read beyond its end is the next request.
func (b *body) stop() {
	if b.coded.bytes == nil {
		return
	}
	if b.whole.Load() {
		b.in.Unread(b.coded.bytes[b.begin:b.end])
	}
	b.coded.free()
}
