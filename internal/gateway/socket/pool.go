package socket

import "sync"

// Pool lends buffers of one size.
type Pool struct {
	size int
	free sync.Pool
}

type buffer struct {
	bytes []byte
	home  *Pool
}

// NewPool makes a pool of buffers of size bytes.
func NewPool(size int) *Pool { return &Pool{size: size} }

func (p *Pool) get() *buffer {
	if b, ok := p.free.Get().(*buffer); ok {
		return b
	}
	return &buffer{make([]byte, p.size), p}
}

// put takes a buffer back. One that has grown is no reason to keep so much.
func (p *Pool) put(b *buffer) {
	if len(b.bytes) == p.size {
		p.free.Put(b)
	}
}
