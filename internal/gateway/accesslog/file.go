package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/droverhq/drover/internal/gateway/hostfile"
)

const (
	// pieceSize is the most that is written, and locked for, at once.
	pieceSize = 256 << 10
	// lockWait is how long somebody else may keep the file's lock.
	lockWait, lockStep = 500 * time.Millisecond, 5 * time.Millisecond
	// maxRounds bounds how often others may exchange the file while it is being locked.
	maxRounds = 20
)

// file is the file that is written, while it is open.
type file struct {
	target Target
	place  *hostfile.Place
	f      *os.File
	mended bool // what a process that was killed left is dealt with
}

// write appends whole lines, and says how much of them was.
func (o *file) write(t Target, p []byte) (n int, err error) {
	if o.target.File != t.File {
		o.close()
	}
	o.target = t
	for n < len(p) {
		wrote, err := o.writePiece(piece(p[n:], min(pieceSize, int(t.MaxBytes))))
		n += wrote
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// piece is the first lines of p: one at least, and no more than most bytes of several.
func piece(p []byte, most int) []byte {
	if len(p) <= most {
		return p
	}
	end := bytes.LastIndexByte(p[:most], '\n')
	if end < 0 {
		end = bytes.IndexByte(p, '\n')
	}
	return p[:end+1]
}

// writePiece appends lines to the file that is at the path, which is another one
// after a rotation.
func (o *file) writePiece(p []byte) (n int, err error) {
	for range maxRounds {
		if err := o.open(); err != nil {
			return 0, err
		}
		locked := o.lock()
		size, current := o.look()
		switch {
		case !current:
		case locked && size > 0 && size+int64(len(p)) > int64(o.target.MaxBytes):
			if err := o.rotate(); err != nil {
				o.close()
				return 0, err
			}
		default:
			if locked && !o.mended {
				size, err = o.mend(size)
			}
			if err == nil {
				n, err = o.append(p, size, locked)
			}
			o.unlock()
			return n, err
		}
		o.close() // and its lock with it
	}
	return 0, fmt.Errorf("%s is exchanged by others all the time", o.target.File)
}

func (o *file) open() (err error) {
	if o.f != nil {
		return nil
	}
	if o.place, err = hostfile.Find(o.target.Paths, o.target.File); err != nil {
		return err
	}
	if o.f, err = o.place.Open(os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o640); err != nil {
		o.close()
	}
	return err
}

func (o *file) close() {
	if o.f != nil {
		_ = o.f.Close()
	}
	if o.place != nil {
		_ = o.place.Close()
	}
	o.f, o.place, o.mended = nil, nil, false
}

// lock takes the file's lock, unless somebody keeps it.
func (o *file) lock() (locked bool) {
	for end := time.Now().Add(lockWait); ; time.Sleep(lockStep) {
		err := syscall.Flock(int(o.f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) || time.Now().After(end) {
			return err == nil
		}
	}
}

func (o *file) unlock() { _ = syscall.Flock(int(o.f.Fd()), syscall.LOCK_UN) }

// look says how long the file is, and whether it is still the one at its path.
func (o *file) look() (size int64, current bool) {
	mine, err := o.f.Stat()
	if err != nil {
		return 0, false
	}
	there, err := os.Stat(o.target.File)
	return mine.Size(), err == nil && os.SameFile(mine, there)
}

// append writes lines at the end of the file. Of a line that there was no room for
// nothing stays.
func (o *file) append(p []byte, size int64, locked bool) (n int, err error) {
	n, err = o.f.Write(p)
	if err == nil {
		return n, nil
	}
	whole := bytes.LastIndexByte(p[:n], '\n') + 1
	if now, serr := o.f.Stat(); whole < n && locked && serr == nil && now.Size() == size+int64(n) {
		err = errors.Join(err, o.f.Truncate(size+int64(whole)))
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return whole, fmt.Errorf("write %s: %w", o.target.File, err)
}

// begun is how each line does.
const begun = `{"time":"`

// mend sees to it that the file's end is that of a line, and returns its new size. A
// gateway that was killed may have left a part of one, which is cut off; what somebody
// else left gets an end.
func (o *file) mend(size int64) (int64, error) {
	tail := make([]byte, min(size, maxLine))
	if _, err := o.f.ReadAt(tail, size-int64(len(tail))); err != nil {
		return size, fmt.Errorf("read the end of %s: %w", o.target.File, err)
	}
	o.mended = true
	part := tail[bytes.LastIndexByte(tail, '\n')+1:]
	switch {
	case len(part) == 0:
		return size, nil
	case bytes.HasPrefix(part, []byte(begun[:min(len(begun), len(part))])):
		return size - int64(len(part)), o.f.Truncate(size - int64(len(part)))
	}
	n, err := o.f.WriteString("\n")
	return size + int64(n), err
}

// rotate gives the file the number 1, and each older one the next. Only who has the
// lock of the file at the path does.
func (o *file) rotate() error {
	keep := o.target.Keep
	gap := 1
	for gap < keep && o.has(gap) {
		gap++
	}
	var err error
	for n := gap; n > 1 && err == nil; n-- {
		err = o.place.Rename(o.numbered(n-1), o.numbered(n))
	}
	switch {
	case err != nil:
	case keep == 0:
		err = o.place.Remove(o.place.Name)
	default:
		err = o.place.Rename(o.place.Name, o.numbered(1))
	}
	for n := keep + 1; err == nil && o.has(n); n++ { // from when more were kept
		err = o.place.Remove(o.numbered(n))
	}
	if err != nil {
		return fmt.Errorf("rotate %s: %w", o.target.File, err)
	}
	return nil
}

func (o *file) numbered(n int) string { return o.place.Name + "." + strconv.Itoa(n) }

func (o *file) has(n int) bool {
	_, err := o.place.Lstat(o.numbered(n))
	return err == nil
}
