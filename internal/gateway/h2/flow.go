package h2

const (
	// defaultWindow is what every stream and connection begin with (RFC 9113 §6.9.2).
	defaultWindow = 1<<16 - 1
	maxWindow     = 1<<31 - 1
	// A stream's window grows to this while its bytes are read as fast as they come,
	// so that a long way costs no throughput.
	largeWindow = 512 << 10
	// connWindow bounds what a connection holds of bodies that nobody has read yet.
	connWindow = 512 << 10
	// spareWindow bounds by how much the windows of all streams that a connection has
	// opened grow together: each may belong to a client that has stopped reading.
	spareWindow = 4 << 20
)

// inflow is what a peer may send. left, read and what is buffered make up its size.
type inflow struct {
	size int
	left int
	read int // used up, and not given back
}

func newInflow(size int) inflow { return inflow{size: size, left: size} }

// take notes n bytes that came. False: they were not allowed.
func (f *inflow) take(n int) bool {
	if n > f.left {
		return false
	}
	f.left -= n
	return true
}

// give notes that n bytes were used up, and says by how much the peer's window is
// to be opened; 0: that can wait. Who holds much back must not make it wait for ever.
func (f *inflow) give(n int) (increment int) {
	if f.read += n; f.read < f.left {
		return 0
	}
	return f.open(f.read)
}

// grow is give for a reader that has kept up with the peer so far. The window grows
// by what is to spare.
func (f *inflow) grow(n int, spare *int) (increment int) {
	if f.read += n; f.read < f.left {
		return 0
	}
	more := min(f.size, largeWindow-f.size, *spare)
	f.size += more
	*spare -= more
	return f.open(f.read + more)
}

func (f *inflow) open(n int) int {
	f.left += n
	f.read = 0
	return n
}

// outflow is what may be sent. It is negative when the peer has taken back more
// than was left (RFC 9113 §6.9.2).
type outflow int

// add opens the window. False: beyond what there can be.
func (f *outflow) add(n int) bool {
	if int(*f)+n > maxWindow {
		return false
	}
	*f += outflow(n)
	return true
}
