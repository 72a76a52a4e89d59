package logfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// cutOff is a reader whose connection breaks after so many bytes, and who
// comes back for the rest.
type cutOff struct {
	after string
	at    position // of the next byte
	got   string   // since it came back
	left  int
}

var errCutOff = errors.New("cut off")

func (c *cutOff) After() string { return c.after }

func (c *cutOff) Begins(text string) {
	c.at, _ = parsePosition(text)
	c.got = ""
}

func (c *cutOff) Write(p []byte) (int, error) {
	n := min(len(p), c.left)
	c.got, c.left, c.at.at = c.got+string(p[:n]), c.left-n, c.at.at+int64(n)
	c.after = c.at.String()
	if n < len(p) {
		return n, errCutOff
	}
	return n, nil
}

// Whatever is written, rotated, killed and cut off: a position means the same byte,
// and who goes on from one gets every byte that is still kept, and none twice.
func TestPositionsOutliveRotationsAndRestarts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		must(t, err)
		write(t, dir, "")
		o := Options{Dirs: one(dir), MaxBytes: 8 << 10, Keep: rapid.IntRange(1, 4).Draw(rt, "keep")}
		k, reader := New(o), &cutOff{}
		written, next := "", 0
		for range rapid.IntRange(1, 12).Draw(rt, "rounds") {
			n := rapid.IntRange(0, 1500).Draw(rt, "lines")
			write(t, dir, lines(next, next+n))
			written, next = written+lines(next, next+n), next+n
			left := rapid.IntRange(0, 30).Draw(rt, "steps until the crash")
			k.step = func(string) error {
				if left--; left < 0 {
					return errCrash
				}
				return nil
			}
			k.rotateAll(t.Context())
			k.step = nil
			if rapid.Bool().Draw(rt, "another Drover") {
				k = New(o)
			}
			before := reader.at.at
			reader.left = rapid.IntRange(0, 100_000).Draw(rt, "bytes until it is cut off")
			if err := k.Tail(t.Context(), dir, -1, reader); err != nil && !errors.Is(err, errCutOff) {
				rt.Fatal(err)
			}
			begun := int(reader.at.at) - len(reader.got)
			if !strings.HasPrefix(written[begun:], reader.got) {
				rt.Fatalf("at %d it got what is not there: %s", begun, firstDifference(reader.got, written[begun:]))
			}
			lost := len(written) - len(kept(t, dir))
			if begun < int(before) || begun > int(before) && (int(before) >= lost || begun-lost > len(lines(0, 1))) {
				rt.Fatalf("it left off at %d and went on at %d, though all from %d on is kept", before, begun, lost)
			}
		}
	})
}

// A position of another log, or of a life before the journal was lost, is none.
func TestPositionsOfAnotherLog(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, lines(0, 10))
	for _, after := range []string{"", "x", ":x", "another:28", ":9999999"} {
		r := &cutOff{after: after, left: 1 << 20}
		must(t, New(Options{}).Tail(t.Context(), dir, 3, r))
		if r.got != lines(7, 10) {
			t.Errorf("after %q: %q", after, r.got)
		}
	}
	r := &cutOff{after: ":30", left: 1 << 20}
	must(t, New(Options{}).Tail(t.Context(), dir, 3, r))
	if want := lines(0, 10)[30:]; r.got != want {
		t.Errorf("in the middle of a line: %s", firstDifference(r.got, want))
	}
	must(t, os.WriteFile(filepath.Join(dir, journalName), []byte("{"), 0o600))
	must(t, New(Options{}).Tail(t.Context(), dir, 3, r))
	if r.got != lines(7, 10) || r.at.life == "" {
		t.Errorf("after the journal was lost: %q at %s", r.got, r.at)
	}
}
