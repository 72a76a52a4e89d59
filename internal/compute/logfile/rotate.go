package logfile

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

const (
	fileName    = "output.log"
	newName     = fileName + ".new"
	journalName = "rotation.json"
)

type phase string

const (
	idle phase = ""
	mark phase = "mark"
	cut  phase = "cut"
)

// journal is what is on disk about a rotation; see the package documentation.
type journal struct {
	Phase  phase  `json:"phase,omitempty"`
	Mark   []byte `json:"mark,omitempty"`
	Length int64  `json:"length,omitempty"` // of the head that goes
	// Drop: the head was not copied. It goes for good, with all that is older.
	Drop bool `json:"drop,omitempty"`
	// MidLine: the oldest file that is kept begins in mid-line.
	MidLine bool `json:"midLine,omitempty"`
	// Base is the position of output.log's first byte. It counts from where the log
	// began, or from where Life did.
	Base int64 `json:"base,omitempty"`
	// Life is new when the journal was lost, and Base with it.
	Life string `json:"life,omitempty"`
}

const markSize = 32

// rotation works on the files of one log. Who calls holds the log's lock.
type rotation struct {
	dir      string
	maxBytes int64
	keep     int
	j        journal
	// step is told of every step before it is taken; an error stops there, as a crash would.
	step     func(string) error
	collapse func(*os.File, int64) error // takes the head out, or says ErrUnsupported
}

func (r *rotation) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rotation) numbered(n int) string { return r.path(fileName + "." + strconv.Itoa(n)) }

// recover finishes what a crash interrupted.
func (r *rotation) recover() error {
	if err := r.load(); err != nil {
		return err
	}
	if r.j.Phase != idle {
		_, err := r.finish()
		return err
	}
	return remove(r.path(newName))
}

// load reads the journal. One that is damaged loses nothing: a copy that is
// there is kept beside what it was perhaps already cut from.
func (r *rotation) load() error {
	b, err := os.ReadFile(r.path(journalName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the rotation's journal: %w", err)
	}
	if json.Unmarshal(b, &r.j) == nil && (r.j.Phase == idle || len(r.j.Mark) == markSize) {
		return nil
	}
	r.j = journal{MidLine: true, Life: rand.Text()}
	if _, err := os.Stat(r.path(newName)); err == nil {
		if err := r.shift(); err != nil {
			return err
		}
	}
	return r.save()
}

func (r *rotation) save() error {
	b, err := json.Marshal(r.j)
	if err != nil {
		return fmt.Errorf("encode the rotation's journal: %w", err)
	}
	part := r.path(journalName + ".part")
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the rotation's journal: %w", err)
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the rotation's journal: %w", err)
	}
	if err := os.Rename(part, r.path(journalName)); err != nil {
		return fmt.Errorf("write the rotation's journal: %w", err)
	}
	return syncDir(r.dir)
}

// rotate takes maxBytes off the head, to output.log.1, or as many of these at once
// as would be gone in the end. It returns how much that was: 0 when the file is
// not that long.
func (r *rotation) rotate() (int64, error) {
	main, err := os.OpenFile(r.path(fileName), os.O_RDWR, 0)
	if err != nil {
		return 0, fmt.Errorf("rotate: %w", err)
	}
	defer main.Close()
	info, err := main.Stat()
	if err != nil {
		return 0, fmt.Errorf("rotate: %w", err)
	}
	// The last byte must stay: a collapse never reaches the end of the file.
	length := alignDown(min(r.maxBytes, info.Size()-1), main)
	if info.Size() <= r.maxBytes || length < markSize {
		return 0, nil
	}
	if beyond := (info.Size()-1)/length - int64(r.keep); beyond > 0 {
		err = r.beginDrop(main, beyond*length)
	} else {
		err = r.beginMove(main, length)
	}
	if err != nil {
		return 0, err
	}
	return r.finish()
}

// beginMove copies the head and notes that it is to be cut off.
func (r *rotation) beginMove(main *os.File, length int64) error {
	if err := r.copyHead(main, length); err != nil {
		return fmt.Errorf("rotate: copy the head: %w", err)
	}
	if r.gap() > r.keep {
		r.j.MidLine = !endsLine(r.numbered(r.keep))
	}
	return r.begin(length)
}

// beginDrop notes that a head goes for good. To copy it first would give the whole
// disk to a workload that writes faster than that.
func (r *rotation) beginDrop(main *os.File, length int64) error {
	r.j.Drop, r.j.MidLine = true, !lineEndsAt(main, length)
	err := r.begin(length)
	if isNoSpace(err) {
		err = errors.Join(r.dropNumbered(), r.begin(length))
	}
	return err
}

func (r *rotation) begin(length int64) error {
	r.j.Phase, r.j.Length = mark, length
	r.j.Mark = make([]byte, markSize)
	rand.Read(r.j.Mark)
	if err := r.at("journal"); err != nil {
		return err
	}
	return r.save()
}

// copyHead copies the first length bytes to output.log.new. On a full disk the
// oldest file goes for it: it would have gone anyway.
func (r *rotation) copyHead(main *os.File, length int64) error {
	try := func() error {
		if err := r.at("copy"); err != nil {
			return err
		}
		return copyRange(r.path(newName), 0, main, 0, length)
	}
	err := try()
	if isNoSpace(err) && r.gap() > r.keep {
		r.j.MidLine = !endsLine(r.numbered(r.keep))
		if err := errors.Join(r.save(), remove(r.numbered(r.keep))); err != nil {
			return err
		}
		err = try()
	}
	if err != nil {
		return errors.Join(err, remove(r.path(newName)))
	}
	return nil
}

// finish takes a rotation from what the journal says to its end.
func (r *rotation) finish() (moved int64, err error) {
	main, err := os.OpenFile(r.path(fileName), os.O_RDWR, 0)
	if err != nil {
		return 0, fmt.Errorf("rotate: %w", err)
	}
	defer main.Close()
	if r.j.Phase == mark {
		if err := r.writeMark(main); err != nil {
			return 0, fmt.Errorf("rotate: mark the head: %w", err)
		}
	}
	if err := r.cutHead(main); err != nil {
		return 0, fmt.Errorf("rotate: cut the head off: %w", err)
	}
	if err := r.shift(); err != nil {
		return 0, fmt.Errorf("rotate: number the files: %w", err)
	}
	if moved, err = size(r.numbered(1)); err != nil {
		return 0, fmt.Errorf("rotate: %w", err)
	}
	if r.j.Drop {
		moved += r.j.Length
	}
	r.j = journal{MidLine: r.j.MidLine, Base: r.j.Base + moved, Life: r.j.Life}
	if err := r.at("idle"); err != nil {
		return 0, err
	}
	return moved, r.save()
}

// shift moves the numbered files up and output.log.new to the first place. It
// fills the first gap, so that one interrupted half-way goes on where it was.
func (r *rotation) shift() error {
	if _, err := os.Lstat(r.path(newName)); errors.Is(err, fs.ErrNotExist) {
		return nil // it has been moved to the first place, the last step
	}
	gap := r.gap()
	if gap > r.keep {
		gap = r.keep
		if err := r.at("drop"); err != nil {
			return err
		}
		if err := remove(r.numbered(gap)); err != nil {
			return err
		}
	}
	for n := gap; n > 1; n-- {
		if err := r.at("shift " + strconv.Itoa(n)); err != nil {
			return err
		}
		if err := os.Rename(r.numbered(n-1), r.numbered(n)); err != nil {
			return err
		}
	}
	if err := r.at("first"); err != nil {
		return err
	}
	if err := os.Rename(r.path(newName), r.numbered(1)); err != nil {
		return err
	}
	return syncDir(r.dir)
}

// gap is the first number that no file has.
func (r *rotation) gap() int {
	for n := 1; ; n++ {
		if _, err := os.Lstat(r.numbered(n)); err != nil {
			return n
		}
	}
}

func (r *rotation) at(step string) error {
	if r.step == nil {
		return nil
	}
	return r.step(step)
}
