package proxy

import "encoding/binary"

// frames follows the WebSocket frames in a stream of bytes (RFC 6455 §5.2), to
// know where one ends: only there may another be put in.
type frames struct {
	head   [14]byte
	have   int    // bytes of head seen
	left   uint64 // bytes of the payload to come
	closed bool   // a close frame has begun
}

const opClose = 8

// goingAway is an unmasked close frame with status 1001.
var goingAway = []byte{0x80 | opClose, 2, 0x03, 0xe9}

// follow takes in the next bytes.
func (f *frames) follow(p []byte) {
	for len(p) > 0 {
		if f.left > 0 {
			n := min(f.left, uint64(len(p)))
			f.left -= n
			p = p[n:]
			continue
		}
		f.head[f.have] = p[0]
		f.have++
		p = p[1:]
		if f.have == 1 && f.head[0]&0x0f == opClose {
			f.closed = true
		}
		if f.have >= 2 && f.have == f.headLength() {
			f.left, f.have = f.payload(), 0
		}
	}
}

// boundary says whether a frame has just ended.
func (f *frames) boundary() bool { return f.have == 0 && f.left == 0 }

func (f *frames) headLength() int {
	n := 2
	switch f.head[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.head[1]&0x80 != 0 {
		n += 4
	}
	return n
}

func (f *frames) payload() uint64 {
	switch n := f.head[1] & 0x7f; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.head[2:])
	default:
		return uint64(n)
	}
}
