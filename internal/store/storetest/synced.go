package storetest

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/testtool"
	_ "modernc.org/sqlite" // for a store that forgets to sync
)

// synced: a trace of system calls shows that each write is synced before it is
// acknowledged. Killing cannot show that: the page cache survives it.
func (s suite) synced(t *testing.T) {
	strace := testtool.Require(t, "strace")
	const writes = 200
	for _, unsynced := range []bool{false, true} {
		t.Run(fmt.Sprintf("unsynced=%t", unsynced), func(t *testing.T) {
			trace := filepath.Join(t.TempDir(), "trace")
			j := task{Dir: t.TempDir(), Writers: 1, First: 1, Last: writes, Unsynced: unsynced}
			cmd, err := j.command(t.Context(), strace, "-f", "-y", "-e", "trace=write,pwrite64,pwritev,fsync,fdatasync", "-e", "signal=none", "-o", trace)
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Run(); err != nil {
				t.Fatalf("strace: %v", err)
			}
			f, err := os.Open(trace)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			acks, err := checkTrace(f)
			if err == nil && acks != writes {
				t.Errorf("%d acknowledgements were traced, not %d", acks, writes)
			}
			if (err == nil) == unsynced {
				t.Errorf("the trace of a store that forgets to sync: %t, was judged: %v", unsynced, err)
			}
		})
	}
}

var (
	call    = regexp.MustCompile(`^(\d+)\s+(\w+)\(\d+<([^>]*)>(.*)$`)
	resumed = regexp.MustCompile(`^(\d+)\s+<\.\.\. (\w+) resumed>.*= (-?\d+)`)
)

// traced is what a trace has shown so far.
type traced struct {
	written bool // something was written to the log since the last acknowledgement
	dirty   bool // and not yet synced
	syncing map[string]bool
	acks    int
}

// checkTrace returns the number of acknowledgements in a trace by strace -f -y,
// or an error if one of them came before what it acknowledges was written to the
// database's log and then synced.
func checkTrace(r io.Reader) (int, error) {
	t := traced{syncing: map[string]bool{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if err := t.line(lines.Text()); err != nil {
			return t.acks, err
		}
	}
	return t.acks, lines.Err()
}

func (t *traced) line(line string) error {
	if m := resumed.FindStringSubmatch(line); m != nil {
		if pid := m[1]; t.syncing[pid] && strings.HasSuffix(m[2], "sync") {
			delete(t.syncing, pid)
			t.dirty = t.dirty && m[3] != "0"
		}
		return nil
	}
	m := call.FindStringSubmatch(line)
	if m == nil {
		return nil
	}
	pid, name, path, rest := m[1], m[2], m[3], m[4]
	switch log := strings.HasSuffix(path, "-wal"); {
	case log && strings.HasSuffix(name, "sync") && strings.HasSuffix(rest, "<unfinished ...>"):
		t.syncing[pid] = true
	case log && strings.HasSuffix(name, "sync"):
		t.dirty = t.dirty && !strings.HasSuffix(rest, "= 0")
	case log:
		t.written, t.dirty = true, true
		clear(t.syncing) // a sync that had begun may not cover it
	case name == "write" && strings.Contains(rest, `"ack `):
		return t.ack(line)
	}
	return nil
}

func (t *traced) ack(line string) error {
	if !t.written {
		return fmt.Errorf("acknowledged without having been written: %s", line)
	}
	if t.dirty {
		return fmt.Errorf("acknowledged before it was synced: %s", line)
	}
	t.acks++
	t.written = false
	return nil
}

func (j task) writeUnsynced(ctx context.Context) (err error) {
	db, err := sql.Open("sqlite", filepath.Join(j.Dir, "documents.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, `CREATE TABLE writes (n BIGINT)`); err != nil {
		return err
	}
	for n := j.First; n <= j.Last; n++ {
		if _, err := db.ExecContext(ctx, `INSERT INTO writes VALUES ($1)`, n); err != nil {
			return err
		}
		acknowledge(n, int64(n))
	}
	return nil
}

func contains(err error, text string) bool { return strings.Contains(err.Error(), text) }

// otherDatabase is a good database of somebody else.
func otherDatabase(t *testing.T) []byte {
	t.Helper()
	j := task{Dir: t.TempDir(), Unsynced: true, First: 1}
	if err := j.writeUnsynced(t.Context()); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(j.Dir, "documents.db"))
	if err != nil {
		t.Fatal(err)
	}
	return content
}
