package wire

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is the two ends of a connection; the answering one serves handle.
func pair(t *testing.T, handle Handler) (*Conn, *net.UnixConn) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = NewConn(other).Serve(handle)
		other.Close()
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return c, other
}

func TestACallCarriesJSONAndErrors(t *testing.T) {
	c, _ := pair(t, func(op string, body json.RawMessage, _ []*os.File) (any, []*os.File, error) {
		switch op {
		case "old":
			return nil, nil, fmt.Errorf("generation 3: %w", ErrOutdated)
		case "elder":
			return nil, nil, ErrSuperseded
		case "broken":
			return nil, nil, errors.New("it broke")
		}
		var in map[string]int
		err := json.Unmarshal(body, &in)
		return map[string]int{"n": in["n"] + 1}, nil, err
	})
	var out map[string]int
	if _, err := c.Call(t.Context(), "add", map[string]int{"n": 1}, &out); err != nil || out["n"] != 2 {
		t.Errorf("got %v, %v", out, err)
	}
	for op, want := range map[string]error{"old": ErrOutdated, "elder": ErrSuperseded} {
		if _, err := c.Call(t.Context(), op, nil, &out); !errors.Is(err, want) {
			t.Errorf("%s: %v", op, err)
		}
	}
	if _, err := c.Call(t.Context(), "broken", nil, &out); err == nil || !strings.Contains(err.Error(), "it broke") {
		t.Errorf("got %v", err)
	}
	if pid := c.PeerPID(); pid != 0 && pid != os.Getpid() {
		t.Errorf("the peer is process %d, this is %d", pid, os.Getpid())
	}
}

// Sockets go both ways, also more of them than the kernel takes at once, and
// arrive in order.
func TestSocketsTravel(t *testing.T) {
	const n = 2*filesPerByte + 7
	c, _ := pair(t, func(op string, _ json.RawMessage, files []*os.File) (any, []*os.File, error) {
		t.Cleanup(func() { closeAll(files) })
		return len(files), files, nil
	})
	var sent []*os.File
	for i := range n {
		f, err := os.CreateTemp(t.TempDir(), "f")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		fmt.Fprint(f, i)
		sent = append(sent, f)
	}
	var count int
	got, err := c.Call(t.Context(), "back", nil, &count, sent...)
	if err != nil || count != n || len(got) != n {
		t.Fatalf("%d arrived and %d came back: %v", count, len(got), err)
	}
	defer closeAll(got)
	for i, f := range got {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if text, _ := io.ReadAll(f); string(text) != fmt.Sprint(i) {
			t.Fatalf("file %d is %q", i, text)
		}
	}
}

func TestAListenerSurvivesItsFirstHolder(t *testing.T) {
	kept := make(chan *os.File, 1)
	c, _ := pair(t, func(_ string, _ json.RawMessage, files []*os.File) (any, []*os.File, error) {
		kept <- files[0]
		return nil, nil, nil
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	var none any
	if _, err := c.Call(t.Context(), "hold", nil, &none, f); err != nil {
		t.Fatal(err)
	}
	f.Close()
	l.Close()
	waiting, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatalf("nobody listens any more: %v", err)
	}
	defer waiting.Close()
	held := <-kept
	defer held.Close()
	again, err := net.FileListener(held)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	accepted, err := again.Accept()
	if err != nil {
		t.Fatal(err)
	}
	accepted.Close()
}

func TestACallThatIsNotAnsweredEnds(t *testing.T) {
	hang := make(chan struct{})
	c, _ := pair(t, func(string, json.RawMessage, []*os.File) (any, []*os.File, error) {
		<-hang
		return nil, nil, nil
	})
	defer close(hang)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	var out any
	if _, err := c.Call(ctx, "wait", nil, &out); err == nil {
		t.Error("it was answered")
	}
}

func TestRubbishEndsTheConnection(t *testing.T) {
	head := func(size, files uint32) []byte {
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, size), files)
	}
	for name, bytes := range map[string][]byte{
		"too large":      head(1<<31, 0),
		"too many files": head(1, 1<<30),
		"no files":       append(head(2, 1), "x{}"...),
		"no JSON":        append(head(3, 0), "abc"...),
		"cut short":      head(100, 0),
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := pair(t, func(string, json.RawMessage, []*os.File) (any, []*os.File, error) {
				t.Error("it was taken for a call")
				return nil, nil, nil
			})
			if _, err := c.unix.Write(bytes); err != nil {
				t.Fatal(err)
			}
			if err := c.unix.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, c.unix); err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the connection ended with %v", err)
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	self, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	if !self.Alive() {
		t.Error("this process does not live")
	}
	for name, change := range map[string]func(*Identity){
		"another boot":              func(i *Identity) { i.Boot += "x" },
		"another process's number":  func(i *Identity) { i.PID = 1 },
		"a number given once again": func(i *Identity) { i.Start += "1" },
		"no number":                 func(i *Identity) { i.PID = 0 },
	} {
		other := self
		change(&other)
		if other.Alive() {
			t.Errorf("%s: it lives", name)
		}
	}
	dir := t.TempDir()
	if _, ok := Serving.Recorded(dir); ok {
		t.Error("nothing was recorded")
	}
	if err := Serving.Record(dir, self); err != nil {
		t.Fatal(err)
	}
	if got, ok := Serving.Recorded(dir); !ok || got != self {
		t.Errorf("recorded %+v as %+v", self, got)
	}
}

func TestKillEndsThatProcessAndAZombieIsDead(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	start, _, err := startOf(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	boot, err := bootID()
	if err != nil {
		t.Fatal(err)
	}
	id := Identity{Boot: boot, PID: cmd.Process.Pid, Start: start}
	wrong := id
	wrong.Start = "0"
	if err := wrong.Kill(); err != nil || !id.Alive() {
		t.Errorf("another identity's kill: %v, alive: %v", err, id.Alive())
	}
	if err := id.Kill(); err != nil {
		t.Error(err)
	}
	for end := time.Now().Add(10 * time.Second); id.Alive(); { // it is not reaped yet
		if time.Now().After(end) {
			t.Fatal("a killed process that nobody waits for lives on")
		}
	}
	_ = cmd.Wait()
	if id.Alive() {
		t.Error("it lives after it was reaped")
	}
}
