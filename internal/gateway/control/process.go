package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/internal/gateway/wire"
)

const (
	helloTimeout = 5 * time.Second
	startTimeout = 15 * time.Second
	callTimeout  = 15 * time.Second
	// A gateway that lives but does not answer is given so many chances before it is killed.
	chances  = 3
	pollStep = 5 * time.Millisecond
	maxLog   = 10 << 20
)

var (
	// errNone says that no gateway runs.
	errNone = errors.New("no gateway runs")
	// errSucceeded says that another one took a gateway's place while it was attached.
	errSucceeded = errors.New("another gateway has just succeeded this one")
)

// adopt attaches to the gateway in a role; nil, nil: there is none (any more).
func (c *Control) adopt(ctx context.Context, r wire.Role) (*link, error) {
	for chance := 1; ; chance++ {
		conn, hello, err := find(ctx, c.runDir, r)
		switch {
		case err == nil:
			l, err := c.attach(ctx, conn, hello, r)
			if errors.Is(err, errSucceeded) && chance < chances {
				continue
			}
			return l, err
		case errors.Is(err, errNone):
			return nil, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case chance < chances:
			c.o.Logger.Warn("The gateway does not answer", "error", err)
			continue
		}
		id, ok := r.Recorded(c.runDir)
		if !ok {
			return nil, err
		}
		c.o.Logger.Error("The gateway lives but does not answer: killing it", "pid", id.PID, "error", err)
		return nil, kill(id)
	}
}

// canLeave is the first protocol that knows Leave.
const canLeave = 3

// attach begins an epoch with a gateway that was found. One that speaks another
// protocol can only be replaced; if it cannot be succeeded either, it is asked to make
// room: its sockets are ours then, and nil is returned.
func (c *Control) attach(ctx context.Context, conn *wire.Conn, hello wire.Hello, r wire.Role) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var a wire.Attached
	files, err := conn.Call(ctx, wire.OpAttach, struct{}{}, &a)
	if err != nil {
		conn.Close()
		return nil, err
	}
	if err := c.book.adopt(a.Sockets, files); err != nil {
		conn.Close()
		return nil, err
	}
	if id, known := r.Recorded(c.runDir); r == wire.Serving && known && id != hello.Identity && id.Alive() {
		conn.Close()
		return nil, errSucceeded
	}
	if hello.Protocol != wire.Protocol && r == wire.Leaving {
		defer conn.Close()
		return mute(hello.Identity), nil
	}
	if hello.Protocol < canLeave {
		defer conn.Close()
		c.o.Logger.Info("Replacing a gateway of another version", "version", hello.Version, "pid", hello.Identity.PID)
		_, err := conn.Call(ctx, wire.OpStop, wire.Stop{Epoch: a.Epoch, Handover: true}, &struct{}{})
		return nil, err
	}
	polls, err := wire.Dial(ctx, r.SocketPath(c.runDir))
	if err != nil {
		conn.Close()
		return nil, err
	}
	l := &link{calls: conn, polls: polls, hello: hello, epoch: a.Epoch, known: a.Sockets, applied: a.Applied, gone: make(chan struct{})}
	l.foreign = hello.Protocol != wire.Protocol
	return l, nil
}

// find connects to the gateway in a role, and makes sure that it is one.
func find(ctx context.Context, runDir string, r wire.Role) (*wire.Conn, wire.Hello, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	var h wire.Hello
	conn, err := wire.Dial(ctx, r.SocketPath(runDir))
	if err != nil {
		return nil, h, noSocket(ctx, runDir, r, err)
	}
	if _, err := conn.Call(ctx, wire.OpHello, struct{}{}, &h); err != nil {
		conn.Close()
		return nil, h, err
	}
	if pid := conn.PeerPID(); pid != 0 && pid != h.Identity.PID || !h.Identity.Alive() {
		conn.Close()
		return nil, h, fmt.Errorf("what listens on the gateway's socket (process %d) is not the gateway that it says it is (%d)", pid, h.Identity.PID)
	}
	return conn, h, nil
}

// noSocket tells "there is none" from "it lives, but cannot be reached".
func noSocket(ctx context.Context, runDir string, r wire.Role, err error) error {
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	id, ok := r.Recorded(runDir)
	if !ok || !id.Alive() {
		return errNone
	}
	listens := func() bool {
		conn, err := wire.Dial(ctx, r.SocketPath(runDir))
		if err != nil {
			return false
		}
		conn.Close()
		return true
	}
	if !becomesClear(ctx, id.Alive, listens) {
		return errNone
	}
	return err
}

// becomesClear waits a moment for a gateway without a socket, which may be on its way
// out or just have recorded itself: false: it has ended.
func becomesClear(ctx context.Context, alive, listens func() bool) bool {
	for end := time.Now().Add(time.Second); time.Now().Before(end) && !listens(); {
		if !alive() {
			return false
		}
		if !pause(ctx, pollStep) {
			break
		}
	}
	return true
}

// start makes a gateway process and attaches to it; own is false when another one
// turned out to run, which is taken instead.
func (c *Control) start(ctx context.Context) (l *link, own bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	log, err := c.openLog()
	if err != nil {
		return nil, false, err
	}
	defer log.Close()
	pid, letGo, err := c.spawn(log)
	if err != nil {
		return nil, false, fmt.Errorf("start the gateway: %w", err)
	}
	defer letGo()
	l, err = c.reach(ctx, wire.Serving, pid, log.Name())
	if l != nil && l.hello.Identity.PID == pid {
		c.o.Logger.Info("Started the gateway", "pid", pid)
		return l, true, nil
	}
	c.end(pid)
	if l != nil {
		return l, false, nil
	}
	return nil, false, fmt.Errorf("start the gateway: %w", err)
}

// spawn starts the process. It ends by itself when this one ends, or lets go, before
// anybody has attached to it: a gateway that nobody knows would never be ended.
func (c *Control) spawn(log *os.File, args ...string) (pid int, letGo func(), err error) {
	lifeline, hold, err := os.Pipe()
	if err != nil {
		return 0, nil, err
	}
	defer lifeline.Close()
	cmd := exec.Command(c.o.Command[0], append(slices.Clone(c.o.Command[1:]), args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Dir = lifeline, log, log, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		hold.Close()
		return 0, nil, err
	}
	pid = cmd.Process.Pid
	c.gone[pid] = true
	// Nobody waits for it in a goroutine: it outlives us. It is reaped when its connection ends.
	_ = cmd.Process.Release()
	return pid, func() { hold.Close() }, nil
}

// reach attaches to the gateway that answers in a role, until the process pid has ended.
func (c *Control) reach(ctx context.Context, r wire.Role, pid int, log string) (l *link, err error) {
	var last error // why the last attempt failed
	err = c.await(ctx, func() bool {
		if c.reap(); !c.gone[pid] {
			last = fmt.Errorf("it ended at once: see %s", log)
			return true
		}
		conn, hello, err := find(ctx, c.runDir, r)
		if err == nil {
			l, err = c.attach(ctx, conn, hello, r)
		}
		last = err
		return l != nil
	})
	if l != nil {
		return l, nil
	}
	return nil, errors.Join(err, last)
}

// end kills a gateway of ours that serves nobody.
func (c *Control) end(pid int) {
	if c.reap(); !c.gone[pid] {
		return // the number may be another's now
	}
	_ = unix.Kill(pid, unix.SIGKILL)
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	_ = c.await(ctx, func() bool { c.reap(); return !c.gone[pid] })
}

// maxSocketPath is what the shortest-minded system takes (macOS).
const maxSocketPath = 103

// usable makes sure that a private socket can be in the run folder.
func usable(runDir string) error {
	if path := wire.Serving.SocketPath(runDir); len(path) > maxSocketPath {
		return fmt.Errorf("the path %s is longer than the %d characters that a socket's may have: use a data folder with a shorter one", path, maxSocketPath)
	}
	if err := os.MkdirAll(runDir, 0o700); err != nil {
		return fmt.Errorf("make the run folder: %w", err)
	}
	return nil
}

// await asks done again and again until ctx ends.
func (c *Control) await(ctx context.Context, done func() bool) error {
	for !done() {
		t := time.NewTimer(pollStep)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
	return nil
}

// reap takes notice of gateways of ours that have ended.
func (c *Control) reap() {
	for pid := range c.gone {
		got, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
		if got == pid || err != nil && !errors.Is(err, unix.EINTR) {
			delete(c.gone, pid)
		}
	}
}

// trimLog bounds the log of a gateway that runs: it appends, so that cutting the
// file under it is safe. A line written meanwhile may be lost.
func trimLog(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Size() <= maxLog {
		return nil
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("trim the gateway's log: %w", err)
	}
	if err := os.WriteFile(path+".1", whole, 0o600); err != nil {
		return fmt.Errorf("trim the gateway's log: %w", err)
	}
	return os.Truncate(path, 0)
}

func (c *Control) logPath() string { return filepath.Join(c.runDir, "gateway.log") }

// openLog opens the gateway's own log; a large one is put aside first.
func (c *Control) openLog() (*os.File, error) {
	if err := usable(c.runDir); err != nil {
		return nil, err
	}
	path := c.logPath()
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		_ = os.Rename(path, path+".1")
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the gateway's log: %w", err)
	}
	return f, nil
}
