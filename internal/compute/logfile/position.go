package logfile

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Bookmark is what a writer given to Tail or Follow may be as well: it is told
// where in the log it begins, and may ask to begin where it left off before.
// Positions outlive rotations and restarts of Drover; one for each byte passed on
// is to be added to the one that was told.
type Bookmark interface {
	// After is the position to go on from, or empty. It goes before the number of
	// lines. What was rotated away since is left out; in a log that the position
	// is not of, the number of lines counts.
	After() string
	// Begins is told the position of the first byte, before it is written.
	Begins(position string)
}

// position is a place in a log. Its life is empty until the journal was lost once.
type position struct {
	life string
	at   int64
}

func (p position) String() string { return fmt.Sprintf("%s:%d", p.life, p.at) }

func parsePosition(text string) (p position, ok bool) {
	life, at, ok := strings.Cut(text, ":")
	n, err := strconv.ParseInt(at, 10, 64)
	return position{life, n}, ok && err == nil
}

// resume puts the cursor at a position that was told before, if there is such a one.
func (c *cursor) resume(p pieces, after string) bool {
	was, ok := parsePosition(after)
	if !ok || was.life != c.l.life || was.at > p.end() {
		return false
	}
	if c.pos = was.at; c.pos < p.start() {
		c.pos, c.skip = p.start(), c.l.midLine
	}
	return true
}

// whole moves a cursor that stands in the middle of a line to its end, if that is there.
func (c *cursor) whole(p pieces) error {
	buf := make([]byte, chunk)
	for pos := c.pos; c.skip; {
		n, err := p.readAt(buf, pos)
		if err != nil || n == 0 {
			return err
		}
		if i := bytes.IndexByte(buf[:n], '\n'); i >= 0 {
			c.pos, c.skip = pos+int64(i)+1, false
		}
		pos += int64(n)
	}
	return nil
}
