package logfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	chunk    = 64 << 10
	maxLine  = 1 << 20                // of a longer line, what is there is passed on in pieces
	pollTime = 200 * time.Millisecond // how late Follow is
)

// Tail writes the last n whole lines of the log in dir to w, as far as they are
// kept; n < 0: all. What is written meanwhile is not waited for.
func (k *Keeper) Tail(ctx context.Context, dir string, n int, w io.Writer) error {
	c, err := k.cursor(dir, n, w)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	for end := c.end; c.pos < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := c.next(end); err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
	}
	return c.flush(len(c.line))
}

// Follow is Tail and then every line as it is written, across rotations, until
// ctx is done or the log is gone. A reader that is so slow that lines are
// rotated away before it got them is told so in their place.
func (k *Keeper) Follow(ctx context.Context, dir string, n int, w io.Writer) error {
	c, err := k.cursor(dir, n, w)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for {
		more, err := c.next(-1)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return c.flush(len(c.line))
		case err != nil:
			return fmt.Errorf("read the log: %w", err)
		case more && ctx.Err() == nil:
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// cursor reads one log from a position on and writes whole lines.
type cursor struct {
	k    *Keeper
	l    *log
	w    io.Writer
	pos  int64
	end  int64  // where the log ended when the cursor was made
	skip bool   // up to the end of the line that pos is in
	line []byte // read and not yet written: the beginning of a line
}

// cursor stands before the last n lines.
func (k *Keeper) cursor(dir string, n int, w io.Writer) (*cursor, error) {
	c := &cursor{k: k, l: k.log(dir), w: w}
	mark, marks := w.(Bookmark)
	var begins position
	err := c.l.reading(k, func(p pieces) error {
		c.end = p.end()
		if !marks || !c.resume(p, mark.After()) {
			if err := c.stand(p, n); err != nil {
				return err
			}
		}
		err := c.whole(p)
		begins = position{c.l.life, c.pos}
		return err
	})
	if err == nil && marks {
		mark.Begins(begins.String()) // not in there: who is told may take its time
	}
	return c, err
}

// stand puts the cursor before the last n lines; n < 0: all.
func (c *cursor) stand(p pieces, n int) error {
	c.pos, c.skip = p.start(), c.l.midLine
	if n < 0 {
		return nil
	}
	at, found, err := p.lastLines(n)
	if err != nil || found {
		c.pos, c.skip = at, false
	}
	return err
}

// next reads a chunk, not beyond end unless that is negative, and writes the lines that it ends.
func (c *cursor) next(end int64) (more bool, err error) {
	buf := make([]byte, chunk)
	lost := int64(0)
	err = c.l.reading(c.k, func(p pieces) error {
		if lost = p.start() - c.pos; lost > 0 {
			c.pos, c.skip = p.start(), c.l.midLine
		}
		if end >= 0 {
			buf = buf[:max(0, min(chunk, end-c.pos))]
		}
		n, err := p.readAt(buf, c.pos)
		buf = buf[:n]
		return err
	})
	if err != nil {
		return false, err
	}
	if lost > 0 {
		if err := c.tellLost(lost); err != nil {
			return false, err
		}
	}
	c.pos += int64(len(buf))
	return len(buf) > 0, c.take(buf)
}

func (c *cursor) tellLost(n int64) error {
	c.line = fmt.Appendf(c.line[:0], "[drover: %d bytes were rotated away before they could be read]\n", n)
	return c.flush(len(c.line))
}

func (c *cursor) take(b []byte) error {
	if c.skip {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return nil
		}
		b, c.skip = b[i+1:], false
	}
	c.line = append(c.line, b...)
	n := bytes.LastIndexByte(c.line, '\n') + 1
	if n == 0 && len(c.line) > maxLine {
		n = len(c.line)
	}
	return c.flush(n)
}

func (c *cursor) flush(n int) error {
	if n == 0 {
		return nil
	}
	if _, err := c.w.Write(c.line[:n]); err != nil {
		return err
	}
	c.line = append(c.line[:0], c.line[n:]...)
	return nil
}

// reading calls fn with the log's files while no rotation changes them.
func (l *log) reading(k *Keeper, fn func(pieces) error) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for !l.whole {
		l.mu.RUnlock()
		l.mu.Lock()
		_, err := l.ready(k)
		l.mu.Unlock()
		l.mu.RLock()
		if err != nil {
			return err
		}
	}
	p, err := open(l.dir, l.base)
	if err != nil {
		return err
	}
	defer p.close()
	return fn(p)
}

// pieces are the files of a log, oldest first, each with the position of its first byte.
type pieces []piece

type piece struct {
	f        *os.File
	from, to int64
}

func open(dir string, base int64) (p pieces, err error) {
	r := rotation{dir: dir}
	names := []string{filepath.Join(dir, fileName)}
	for n := 1; n < r.gap(); n++ {
		names = append(names, r.numbered(n))
	}
	for i, name := range names {
		f, err := os.Open(name)
		if err != nil {
			p.close()
			return nil, err
		}
		info, err := f.Stat()
		if err != nil {
			f.Close()
			p.close()
			return nil, err
		}
		from := base
		if i > 0 {
			from = p[0].from - info.Size()
		}
		p = append(pieces{{f, from, from + info.Size()}}, p...)
	}
	return p, nil
}

func (p pieces) close() {
	for _, piece := range p {
		piece.f.Close()
	}
}

func (p pieces) start() int64 { return p[0].from }
func (p pieces) end() int64   { return p[len(p)-1].to }

// readAt fills b from position pos, as far as there is something.
func (p pieces) readAt(b []byte, pos int64) (n int, err error) {
	for _, piece := range p {
		if pos < piece.from || pos >= piece.to || n == len(b) {
			continue
		}
		want := b[n:min(int64(len(b)), int64(n)+piece.to-pos)]
		got, err := piece.f.ReadAt(want, pos-piece.from)
		n, pos = n+got, pos+int64(got)
		if err != nil && err != io.EOF {
			return n, err
		}
	}
	return n, nil
}

// lastLines finds where the last n lines begin; a line without an end counts.
func (p pieces) lastLines(n int) (pos int64, found bool, err error) {
	if n == 0 {
		return p.end(), true, nil
	}
	buf := make([]byte, chunk)
	for pos = p.end(); pos > p.start(); {
		size := min(chunk, pos-p.start())
		got, err := p.readAt(buf[:size], pos-size)
		if err != nil || int64(got) < size {
			return 0, false, errors.Join(err, io.ErrUnexpectedEOF)
		}
		for i := size - 1; i >= 0; i-- {
			// The line end at the very end ends the last line; it begins none.
			if buf[i] != '\n' || pos-size+i == p.end()-1 {
				continue
			}
			if n--; n == 0 {
				return pos - size + i + 1, true, nil
			}
		}
		pos -= size
	}
	return pos, false, nil
}
