package logfile

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
)

// writeMark overwrites bytes that output.log.new holds safely by now.
func (r *rotation) writeMark(main *os.File) error {
	if err := r.at("mark"); err != nil {
		return err
	}
	if _, err := main.WriteAt(r.j.Mark, 0); err != nil {
		return err
	}
	if err := r.sync(main); err != nil {
		return err
	}
	if err := r.at("marked"); err != nil {
		return err
	}
	r.j.Phase = cut
	return r.save()
}

// cutHead takes the head off, unless that has been done.
func (r *rotation) cutHead(main *os.File) error {
	head := make([]byte, markSize)
	if _, err := main.ReadAt(head, 0); err != nil && err != io.EOF {
		return err
	}
	if !bytes.Equal(head, r.j.Mark) {
		return nil
	}
	if r.j.Drop { // before: afterwards output.log.1 may be new
		if err := r.dropNumbered(); err != nil {
			return err
		}
	}
	if err := r.at("cut"); err != nil {
		return err
	}
	err := r.collapse(main, r.j.Length)
	if errors.Is(err, errors.ErrUnsupported) {
		err = r.truncate(main)
	}
	if err != nil {
		return err
	}
	if err := r.sync(main); err != nil {
		return err
	}
	return r.at("done")
}

// sync makes what was done to the file lasting. A head that is dropped is not worth
// it: gigabytes would be written to the disk first. A power cut in this moment costs
// no more than that positions from before it are off by what was to be dropped.
func (r *rotation) sync(main *os.File) error {
	if r.j.Drop {
		return nil
	}
	return main.Sync()
}

// truncate copies also what follows the head, as close to the end as it gets, and
// empties the file. A workload that writes faster than this copies loses the rest,
// and one on a full disk what it has more than was to be kept anyway.
func (r *rotation) truncate(main *os.File) error {
	err := r.copyRest(main)
	if err != nil && !(r.j.Drop && isNoSpace(err)) {
		return err
	}
	return main.Truncate(0)
}

func (r *rotation) copyRest(main *os.File) error {
	first, copied := int64(0), r.j.Length // output.log.new has the bytes from first to copied
	if r.j.Drop {
		first = copied
	} else if err := os.Truncate(r.path(newName), copied); err != nil {
		return err // what a crash left behind the head is not synced, so not believed
	}
	for limit := int64(0); ; {
		info, err := main.Stat()
		if err != nil {
			return err
		}
		if limit == 0 {
			limit = info.Size() + r.maxBytes
		}
		end := min(info.Size(), limit)
		if end <= copied {
			return nil
		}
		if err := r.at("rest"); err != nil {
			return err
		}
		if err := copyRange(r.path(newName), copied-first, main, copied, end-copied); err != nil {
			return err
		}
		copied = end
	}
}

// dropNumbered removes what was rotated before.
func (r *rotation) dropNumbered() error {
	for n := r.gap() - 1; n > 0; n-- {
		if err := r.at("drop " + strconv.Itoa(n)); err != nil {
			return err
		}
		if err := remove(r.numbered(n)); err != nil {
			return err
		}
	}
	return syncDir(r.dir)
}
