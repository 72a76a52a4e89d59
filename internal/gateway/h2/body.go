package h2

import "sync"

// partSize is so small that a stream with a few bytes holds little.
const partSize = 4 << 10

var parts = sync.Pool{New: func() any { return new(part) }}

type part struct {
	next  *part
	r, w  int
	bytes [partSize]byte
}

// body is what has come of a message's body and has not been read. The zero value
// is empty, and holds no memory.
type body struct {
	first, last *part
	size        int
}

func (b *body) write(p []byte) {
	b.size += len(p)
	for len(p) > 0 {
		if b.last == nil || b.last.w == partSize {
			b.grow()
		}
		n := copy(b.last.bytes[b.last.w:], p)
		b.last.w += n
		p = p[n:]
	}
}

func (b *body) grow() {
	n := parts.Get().(*part)
	n.next, n.r, n.w = nil, 0, 0
	if b.last == nil {
		b.first = n
	} else {
		b.last.next = n
	}
	b.last = n
}

func (b *body) read(p []byte) (n int) {
	for n < len(p) && b.size > 0 {
		f := b.first
		m := copy(p[n:], f.bytes[f.r:f.w])
		f.r += m
		n += m
		b.size -= m
		if f.r == f.w {
			b.drop()
		}
	}
	return n
}

func (b *body) drop() {
	f := b.first
	if b.first = f.next; b.first == nil {
		b.last = nil
	}
	f.next = nil
	parts.Put(f)
}

// clear forgets all of it, and says how much that was.
func (b *body) clear() (n int) {
	for b.first != nil {
		b.drop()
	}
	n, b.size = b.size, 0
	return n
}
