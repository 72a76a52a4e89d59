package logfile

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The test binary is also the workload: it numbers lines until it has written as many as it is told.
func TestMain(m *testing.M) {
	if n := os.Getenv("WRITE_LINES"); n != "" {
		writeLines(n)
		return
	}
	os.Exit(m.Run())
}

func writeLines(text string) {
	var n int
	fmt.Sscan(text, &n)
	w := bufio.NewWriterSize(os.Stdout, 3000) // so that writes end in mid-line
	for i := range n {
		fmt.Fprintf(w, "line %07d of the workload\n", i)
	}
	if err := w.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func lines(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "line %07d of the workload\n", i)
	}
	return b.String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// kept is what the files hold, oldest first.
func kept(t testing.TB, dir string) string {
	t.Helper()
	var b bytes.Buffer
	r := rotation{dir: dir}
	for n := r.gap() - 1; n >= 1; n-- {
		text, err := os.ReadFile(r.numbered(n))
		must(t, err)
		b.Write(text)
	}
	text, err := os.ReadFile(r.path(fileName))
	must(t, err)
	b.Write(text)
	return b.String()
}

func tail(t testing.TB, k *Keeper, dir string, n int) string {
	t.Helper()
	var b bytes.Buffer
	must(t, k.Tail(t.Context(), dir, n, &b))
	return b.String()
}

func write(t testing.TB, dir, text string) {
	t.Helper()
	f, err := Open(dir)
	must(t, err)
	_, err = f.WriteString(text)
	must(t, errors.Join(err, f.Close()))
}

func one(dir string) func() ([]string, error) {
	return func() ([]string, error) { return []string{dir}, nil }
}

func noCollapse(*os.File, int64) error { return errors.ErrUnsupported }

// buffer is a writer that a test can look into meanwhile.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
	n  chan struct{} // gets something when something was written
}

func newBuffer() *buffer { return &buffer{n: make(chan struct{}, 1)} }

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.n <- struct{}{}:
	default:
	}
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *buffer) wait(t testing.TB, has func(string) bool) string {
	t.Helper()
	late := time.After(time.Minute)
	for !has(b.String()) {
		select {
		case <-b.n:
		case <-late:
			t.Fatalf("waited for too long; got %d bytes", len(b.String()))
		}
	}
	return b.String()
}

// A million lines from a process of its own, through 20 rotations and more while
// it writes: none lost, none doubled, all in order, in the files and to who follows.
func TestMillionLines(t *testing.T) {
	const total = 1_000_000
	dir := t.TempDir()
	k := New(Options{Dirs: one(dir), MaxBytes: 1 << 20, Keep: 100, Interval: time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	out, err := Open(dir)
	must(t, err)
	followed := newBuffer()
	wg.Go(func() { _ = k.Run(ctx) })
	wg.Go(func() {
		if err := k.Follow(ctx, dir, -1, followed); err != nil {
			t.Error(err)
		}
	})
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprint("WRITE_LINES=", total))
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	must(t, cmd.Run())
	want := lines(0, total)
	got := followed.wait(t, func(s string) bool { return len(s) >= len(want) })
	cancel()
	wg.Wait()
	if got != want {
		t.Errorf("who follows: %s", firstDifference(got, want))
	}
	if got := kept(t, dir); got != want {
		t.Errorf("the files: %s", firstDifference(got, want))
	}
	if n := (&rotation{dir: dir}).gap() - 1; n < 20 {
		t.Errorf("only %d rotations", n)
	} else {
		t.Logf("%d rotations", n)
	}
}

func firstDifference(got, want string) string {
	g, w := strings.SplitAfter(got, "\n"), strings.SplitAfter(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d is %q, want %q", i, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

func TestRotatesLongFilesFirstAndKeepsFive(t *testing.T) {
	dir := t.TempDir()
	want := lines(0, 30_000) // 840,000 bytes
	write(t, dir, want)
	k := New(Options{Dirs: one(dir), MaxBytes: 64 << 10})
	k.rotateAll(t.Context())
	got := kept(t, dir)
	if !strings.HasSuffix(want, got) || len(got) < 5*64<<10 || len(got) > 6*64<<10 {
		t.Errorf("%d bytes are kept", len(got))
	}
	whole := got[strings.IndexByte(got, '\n')+1:]
	if read := tail(t, k, dir, -1); read != whole {
		t.Errorf("read: %s", firstDifference(read, whole))
	}
	if read := tail(t, New(k.o), dir, -1); read != whole {
		t.Errorf("read by the next Drover: %s", firstDifference(read, whole))
	}
}

func TestTail(t *testing.T) {
	tests := []struct {
		name, text string
		n          int
		want       string
	}{
		{"none", "a\nb\n", 0, ""},
		{"one", "a\nb\n", 1, "b\n"},
		{"all there are", "a\nb\n", 2, "a\nb\n"},
		{"more than there are", "a\nb\n", 9, "a\nb\n"},
		{"all", "a\nb\n", -1, "a\nb\n"},
		{"a line without an end counts", "a\nb", 1, "b"},
		{"empty lines count", "a\n\n\n", 2, "\n\n"},
		{"empty", "", 3, ""},
		{"one long line", strings.Repeat("x", 3*maxLine), 1, strings.Repeat("x", 3*maxLine)},
		{"across chunks", lines(0, 9000), 8000, lines(1000, 9000)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, tt.text)
			if got := tail(t, New(Options{}), dir, tt.n); got != tt.want {
				t.Errorf("got %d bytes, want %d: %.40q", len(got), len(tt.want), got)
			}
		})
	}
}

func TestTailAcrossFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, lines(0, 5000))
	k := New(Options{Dirs: one(dir), MaxBytes: 32 << 10, Keep: 9})
	k.rotateAll(t.Context())
	write(t, dir, lines(5000, 5001))
	for _, n := range []int{1, 2, 1000, 4000, 5001} {
		if got, want := tail(t, k, dir, n), lines(5001-n, 5001); got != want {
			t.Errorf("last %d: %s", n, firstDifference(got, want))
		}
	}
}

// A crash before every single step, then another Drover: nothing is lost or doubled.
func TestCrashAtEveryStep(t *testing.T) {
	for _, mode := range []struct {
		name     string
		collapse func(*os.File, int64) error
	}{{"collapse", collapse}, {"truncate", noCollapse}} {
		t.Run(mode.name, func(t *testing.T) {
			for crash := 0; ; crash++ {
				if !crashOnce(t, crash, mode.collapse) {
					t.Logf("%d steps", crash)
					return
				}
			}
		})
	}
}

var errCrash = errors.New("crash")

// crashOnce stops a rotation at its nth step and reports whether it got that far.
func crashOnce(t *testing.T, n int, collapse func(*os.File, int64) error) (crashed bool) {
	dir := t.TempDir()
	write(t, dir, lines(0, 10_000))
	o := Options{Dirs: one(dir), MaxBytes: 64 << 10, Keep: 7}
	k := New(o)
	k.collapse = collapse
	var at string
	k.step = func(step string) error {
		if n--; n < 0 {
			crashed, at = true, step
			return errCrash
		}
		return nil
	}
	_, err := k.rotate(t.Context(), dir)
	if crashed != errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	write(t, dir, lines(10_000, 10_001)) // the workload goes on
	want := lines(0, 10_001)
	for _, next := range []*Keeper{k, New(o)} { // the same Drover, and another
		next.step, next.collapse = nil, collapse
		if got := tail(t, next, dir, -1); got != want {
			t.Fatalf("crash before %q, read: %s", at, firstDifference(got, want))
		}
		next.rotateAll(t.Context())
		if got := kept(t, dir); got != want {
			t.Fatalf("crash before %q, files: %s", at, firstDifference(got, want))
		}
	}
	return crashed
}

// Any mix of writing, rotating and crashing keeps a suffix of what was written, and readers see whole lines of it.
func TestRotationKeepsASuffix(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		must(t, err)
		write(t, dir, "")
		o := Options{Dirs: one(dir), MaxBytes: 8 << 10, Keep: rapid.IntRange(1, 4).Draw(rt, "keep")}
		k := New(o)
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
			read := tail(t, k, dir, -1)
			files := kept(t, dir)
			if !strings.HasSuffix(written, files) || !strings.HasSuffix(files, read) {
				rt.Fatalf("not a suffix of what was written: %s", firstDifference(files, written))
			}
			if missing := files[:len(files)-len(read)]; strings.Contains(strings.TrimSuffix(missing, "\n"), "\n") || read != "" && !strings.HasPrefix(read, "line ") {
				rt.Fatalf("readers miss %q", missing)
			}
		}
	})
}

func TestFollowEndsWithTheLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	must(t, os.Mkdir(dir, 0o755))
	write(t, dir, "a\nhalf")
	got := newBuffer()
	done := make(chan error, 1)
	go func() { done <- New(Options{}).Follow(t.Context(), dir, -1, got) }()
	got.wait(t, func(s string) bool { return s == "a\n" })
	must(t, os.RemoveAll(dir))
	must(t, <-done)
	if got.String() != "a\nhalf" {
		t.Errorf("got %q", got.String())
	}
}

func TestFollowTellsWhatItMissed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, lines(0, 100))
	k := New(Options{Dirs: one(dir), MaxBytes: 8 << 10, Keep: 1})
	ctx, cancel := context.WithCancel(t.Context())
	got := newBuffer()
	slow := &gate{w: got, open: make(chan struct{}), at: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- k.Follow(ctx, dir, -1, slow) }()
	<-slow.at
	write(t, dir, lines(100, 5000))
	k.rotateAll(ctx)
	close(slow.open)
	end := lines(4999, 5000)
	text := got.wait(t, func(s string) bool { return strings.HasSuffix(s, end) })
	cancel()
	must(t, <-done)
	before, after, ok := strings.Cut(text, "[drover: ")
	_, after, _ = strings.Cut(after, "\n")
	if !ok || before != lines(0, 100) || !strings.HasPrefix(after, "line ") || !strings.HasSuffix(lines(0, 5000), after) {
		t.Errorf("got %.200q … then %.80q", before, after)
	}
}

// gate holds up its first write.
type gate struct {
	w        io.Writer
	at, open chan struct{}
	once     sync.Once
}

func (g *gate) Write(p []byte) (int, error) {
	g.once.Do(func() {
		close(g.at)
		<-g.open
	})
	return g.w.Write(p)
}

func TestDamagedJournal(t *testing.T) {
	for _, text := range []string{"", "{", `{"phase":"cut"}`, `{"phase":"mark","mark":"AA=="}`} {
		dir := t.TempDir()
		write(t, dir, lines(0, 10))
		must(t, os.WriteFile(filepath.Join(dir, journalName), []byte(text), 0o600))
		must(t, os.WriteFile(filepath.Join(dir, newName), []byte("x\n"+lines(0, 10)), 0o600))
		if got, want := tail(t, New(Options{}), dir, -1), lines(0, 10)+lines(0, 10); got != want {
			t.Errorf("journal %q: %s", text, firstDifference(got, want))
		}
	}
}

// On a full disk the oldest file makes room for the copy of the head.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	written := lines(0, 3000)
	write(t, dir, written)
	k := New(Options{Dirs: one(dir), MaxBytes: 16 << 10, Keep: 3})
	k.rotateAll(t.Context())
	written += lines(3000, 4000)
	write(t, dir, lines(3000, 4000))
	r := rotation{dir: dir}
	k.step = func(step string) error {
		if step == "copy" && r.gap() > 3 {
			return fmt.Errorf("the test's disk: %w", syscall.ENOSPC)
		}
		return nil
	}
	k.rotateAll(t.Context())
	read := tail(t, k, dir, -1)
	if !strings.HasSuffix(written, kept(t, dir)) || !strings.HasSuffix(written, read) || !strings.HasPrefix(read, "line ") {
		t.Errorf("%s", firstDifference(read, written))
	}
	if n, err := size(filepath.Join(dir, fileName)); n > 16<<10 || err != nil {
		t.Errorf("%d bytes are not rotated, %v", n, err)
	}
}

func TestRunRotates(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, lines(0, 1000))
	ctx, cancel := context.WithCancel(t.Context())
	var seen int
	k := New(Options{MaxBytes: 8 << 10, Interval: time.Millisecond, Dirs: func() ([]string, error) {
		if seen++; seen == 3 {
			cancel()
		}
		return []string{filepath.Join(dir, "missing"), dir}, nil
	}})
	must(t, k.Run(ctx))
	names, err := os.ReadDir(dir)
	must(t, err)
	if !slices.ContainsFunc(names, func(e os.DirEntry) bool { return e.Name() == fileName+".1" }) {
		t.Errorf("nothing was rotated: %v", names)
	}
}
