package accesslog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/droverhq/drover/internal/resource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func realDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// target is a file in a folder that was given with --host-path.
func target(file string, maxBytes int64, keep int) *Target {
	return &Target{
		AccessLog: resource.AccessLog{File: file, MaxBytes: resource.Bytes(maxBytes), Keep: keep},
		Paths:     resource.HostPaths{Folders: []string{filepath.Dir(file)}},
	}
}

func newLog(t *testing.T, to *Target) *Log {
	t.Helper()
	l := New("front", Options{})
	l.Configure(to)
	t.Cleanup(l.Close)
	return l
}

// line is an entry that is known again.
func line(from, n int) *Entry {
	return &Entry{Began: time.Unix(int64(from), 0), BytesIn: int64(n), Path: []byte("/" + strings.Repeat("x", 100)), Outcome: Answered}
}

type read struct {
	Time              time.Time
	BytesIn           int
	Balancer, Outcome string
	Dropped           int
}

// readAll reads the lines of all the files, oldest first.
func readAll(t *testing.T, file string) (all []read) {
	t.Helper()
	names, err := filepath.Glob(file + ".*")
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(names, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(b, a)
	})
	for _, name := range append(names, file) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for l := range bytes.Lines(text) {
			var r read
			if err := json.Unmarshal(l, &r); err != nil || l[len(l)-1] != '\n' {
				t.Fatalf("%s has a torn line: %q", name, l)
			}
			all = append(all, r)
		}
	}
	return all
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never was so that " + what)
		}
	}
}

// Two gateways write to one file while it is rotated again and again.
func TestNoLineIsLostOrTornByRotations(t *testing.T) {
	const writers, each = 3, 8000
	file := filepath.Join(realDir(t), "access.log")
	const maxBytes = 100 << 10
	var wg sync.WaitGroup
	for w := range writers {
		l := newLog(t, target(file, maxBytes, 1000))
		wg.Go(func() {
			for n := range each {
				l.Append(line(w, n))
				if n%500 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			l.Close()
			if dropped, problem := l.Status(); dropped > 0 || problem != "" {
				t.Errorf("%d lines dropped, %s", dropped, problem)
			}
		})
	}
	wg.Wait()
	next := map[int64]int{}
	for _, r := range readAll(t, file) {
		from := r.Time.Unix()
		if r.BytesIn != next[from] {
			t.Fatalf("line %d of log %d comes after %d", r.BytesIn, from, next[from]-1)
		}
		next[from]++
	}
	for w := range writers {
		if next[int64(w)] != each {
			t.Errorf("log %d has %d lines of %d", w, next[int64(w)], each)
		}
	}
	names, _ := filepath.Glob(file + "*")
	if len(names) < 30 {
		t.Errorf("only %d files: nothing was rotated", len(names))
	}
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || info.Size() > maxBytes {
			t.Errorf("%s has %d bytes, %v", name, info.Size(), err)
		}
	}
}

func TestKeepBoundsTheFiles(t *testing.T) {
	for keep, want := range map[int][]string{0: {"log"}, 1: {"log", "log.1"}, 3: {"log", "log.1", "log.2", "log.3"}} {
		dir := realDir(t)
		for n := 1; n <= 5; n++ { // from when five were kept; and a gap
			if keep < 3 || n != 2 {
				write(t, filepath.Join(dir, fmt.Sprintf("log.%d", n)), "")
			}
		}
		l := newLog(t, target(filepath.Join(dir, "log"), 64<<10, keep))
		for n := range 5000 {
			l.Append(line(0, n))
		}
		l.Close()
		if _, problem := l.Status(); problem != "" {
			t.Fatal(problem)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if !slices.Equal(names, want) {
			t.Errorf("keep %d: %v", keep, names)
		}
		if all := readAll(t, filepath.Join(dir, "log")); all[len(all)-1].BytesIn != 4999 {
			t.Errorf("keep %d: the last line is %d", keep, all[len(all)-1].BytesIn)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

// As logrotate does it: the file is moved away, and a new one is begun.
func TestAFileThatWasMovedIsLeft(t *testing.T) {
	file := filepath.Join(realDir(t), "access.log")
	l := newLog(t, target(file, 1<<20, 5))
	l.Append(line(0, 0))
	eventually(t, "the first line is written", func() bool { return lines0(file) == 1 })
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the file has the mode %s, %v", info.Mode(), err)
	}
	if err := os.Rename(file, file+".old"); err != nil {
		t.Fatal(err)
	}
	l.Append(line(0, 1))
	eventually(t, "the file is there again", func() bool { return lines0(file) == 1 })
	if lines0(file+".old") != 1 {
		t.Error("the file that was moved away was written to")
	}
}

func lines0(file string) int {
	text, _ := os.ReadFile(file)
	return bytes.Count(text, []byte("\n"))
}

// A disk that takes nothing costs lines, and nothing else; how many is told.
func TestLinesWithoutRoomAreDroppedAndCounted(t *testing.T) {
	dir := filepath.Join(realDir(t), "none")
	file := filepath.Join(dir, "access.log")
	l := newLog(t, target(file, 1<<30, 5))
	const all = 40_000
	began := time.Now()
	for n := range all {
		l.Append(line(0, n))
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("%d lines took %s: something waited", all, took)
	}
	eventually(t, "it is known", func() bool { _, problem := l.Status(); return strings.Contains(problem, dir) })
	dropped, _ := l.Status()
	if dropped == 0 || dropped == all {
		t.Fatalf("%d of %d lines were dropped", dropped, all)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is written again", func() bool { _, problem := l.Status(); return problem == "" && !l.waiting() })
	l.Append(line(0, all))
	l.Close()
	list := readAll(t, file)
	told := 0
	for _, r := range list {
		told += r.Dropped
	}
	if got, _ := l.Status(); told != int(got) {
		t.Errorf("%d lines were dropped, and %d told", got, told)
	}
	if want := all + 1 - told; len(list) < want || list[len(list)-1].BytesIn != all {
		t.Errorf("%d lines, the last is %+v", len(list), list[len(list)-1])
	}
}

func TestWhatAKilledGatewayLeftIsMended(t *testing.T) {
	whole := string(plain().appendLine(nil, line(0, 0)))
	for name, c := range map[string]struct{ before, after string }{
		"nothing":          {"", ""},
		"whole lines":      {whole, whole},
		"a part of a line": {whole + whole[:50], whole},
		"its first byte":   {whole + "{", whole},
		"only a part":      {whole[:50], ""},
		"somebody else's":  {"something", "something\n"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(realDir(t), "access.log")
			write(t, file, c.before)
			l := newLog(t, target(file, 1<<20, 5))
			l.Append(line(0, 0))
			l.Close()
			if text, _ := os.ReadFile(file); string(text) != c.after+whole {
				t.Errorf("the file is %q", text)
			}
		})
	}
}

// Who keeps the file's lock keeps nobody from writing.
func TestALockThatIsKept(t *testing.T) {
	file := filepath.Join(realDir(t), "access.log")
	write(t, file, "")
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	l := newLog(t, target(file, 1<<20, 5))
	l.Append(line(0, 0))
	eventually(t, "the line is written", func() bool { return lines0(file) == 1 })
}

func TestALogIsMovedAndEnded(t *testing.T) {
	dir := realDir(t)
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	l := newLog(t, nil)
	l.Append(line(0, 0))
	l.Configure(target(a, 1<<20, 5))
	l.Append(line(0, 1))
	eventually(t, "a is written", func() bool { return lines0(a) == 1 })
	l.Configure(target(b, 1<<20, 5))
	l.Append(line(0, 2))
	eventually(t, "b is written", func() bool { return lines0(b) == 1 })
	l.Configure(nil)
	l.Append(line(0, 3))
	l.Close()
	if got := lines0(a) + lines0(b); got != 2 {
		t.Errorf("there are %d lines", got)
	}
}

// A path that leads elsewhere by then is not followed.
func TestALinkOutOfTheFolderIsNotFollowed(t *testing.T) {
	dir := realDir(t)
	given, victim := filepath.Join(dir, "given"), filepath.Join(dir, "victim")
	if err := os.Mkdir(given, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, victim, "")
	if err := os.Symlink("../victim", filepath.Join(given, "access.log")); err != nil {
		t.Fatal(err)
	}
	l := newLog(t, target(filepath.Join(given, "access.log"), 1<<20, 5))
	l.Append(line(0, 0))
	eventually(t, "it is refused", func() bool { _, problem := l.Status(); return strings.Contains(problem, "leads out") })
	if lines0(victim) > 0 {
		t.Error("it was written to")
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	if testing.CoverMode() != "" {
		return
	}
	l := plain()
	e := &Entry{
		Began: time.Now(), Method: []byte("GET"), Host: []byte("shop.example"), Path: []byte("/a/b"), Protocol: "HTTP/1.1", Status: 200,
		Set: "hello", Version: "1.0.0", Instance: "hello_1", Outcome: Answered, UserAgent: []byte("Mozilla/5.0 (X11; Linux x86_64)"),
	}
	buf := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { buf = l.appendLine(buf[:0], e) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	file := filepath.Join(b.TempDir(), "access.log")
	l := New("front", Options{Secret: func(string) bool { return false }, TokenPrefix: "drv_"})
	l.Configure(target(file, 1<<30, 1))
	defer l.Close()
	e := &Entry{
		Began: time.Now(), Method: []byte("GET"), Host: []byte("shop.example"), Path: []byte("/a/b"), Query: []byte("?page=2&sort=name"), Protocol: "HTTP/1.1",
		Status: 200, Set: "hello", Version: "1.0.0", Instance: "hello_1", Outcome: Answered, UserAgent: []byte("Mozilla/5.0 (X11; Linux x86_64)"),
	}
	b.ReportAllocs()
	for b.Loop() {
		l.Append(e)
	}
}
