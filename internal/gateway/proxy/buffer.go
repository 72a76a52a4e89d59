package proxy

import "sync"

const (
	smallSize = 4 << 10
	copySize  = 32 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallSize]byte) }}
	copyBuffers  = sync.Pool{New: func() any { return new([copySize]byte) }}
)

// buffer is a lent one: a small one for who sends little, and a large one for who
// fills that. A slow client is not to hold much. The zero value has none.
type buffer struct{ bytes []byte }

// filled says how much of it was, and makes it larger when that was all.
func (b *buffer) filled(n int) {
	if n < len(b.bytes) || len(b.bytes) == copySize {
		return
	}
	large := copyBuffers.Get().(*[copySize]byte)[:]
	copy(large, b.bytes)
	b.free()
	b.bytes = large
}

func (b *buffer) lend() {
	b.bytes = smallBuffers.Get().(*[smallSize]byte)[:]
}

func (b *buffer) free() {
	switch len(b.bytes) {
	case smallSize:
		smallBuffers.Put((*[smallSize]byte)(b.bytes))
	case copySize:
		copyBuffers.Put((*[copySize]byte)(b.bytes))
	}
	b.bytes = nil
}
