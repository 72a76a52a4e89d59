package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
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

// errNone says that no gateway runs.
var errNone = errors.New("no gateway runs")

// adopt attaches to the gateway that runs; nil, nil: none does (any more).
func (c *Control) adopt(ctx context.Context) (*link, error) {
	for chance := 1; ; chance++ {
		conn, hello, err := find(ctx, c.runDir)
		switch {
		case err == nil:
			return c.attach(ctx, conn, hello)
		case errors.Is(err, errNone):
			return nil, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case chance < chances:
			c.o.Logger.Warn("The gateway does not answer", "error", err)
			continue
		}
		id, ok := wire.Recorded(c.runDir)
		if !ok {
			return nil, err
		}
		c.o.Logger.Error("The gateway lives but does not answer: killing it", "pid", id.PID, "error", err)
		return nil, kill(id)
	}
}

// attach begins an epoch with a gateway that was found. One that speaks another
// protocol is asked to make room: its sockets are ours then, and nil is returned.
func (c *Control) attach(ctx context.Context, conn *wire.Conn, hello wire.Hello) (*link, error) {
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
	if hello.Protocol != wire.Protocol {
		defer conn.Close()
		c.o.Logger.Info("Replacing a gateway of another version", "version", hello.Version, "pid", hello.Identity.PID)
		_, err := conn.Call(ctx, wire.OpStop, wire.Stop{Epoch: a.Epoch, Handover: true}, &struct{}{})
		return nil, err
	}
	if hello.Version != c.o.Version {
		c.o.Logger.Info("The gateway that runs is of another version", "version", hello.Version)
	}
	polls, err := wire.Dial(ctx, wire.SocketPath(c.runDir))
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &link{calls: conn, polls: polls, hello: hello, epoch: a.Epoch, known: a.Sockets, applied: a.Applied}, nil
}

// find connects to the gateway that runs, and makes sure that it is one.
func find(ctx context.Context, runDir string) (*wire.Conn, wire.Hello, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	var h wire.Hello
	conn, err := wire.Dial(ctx, wire.SocketPath(runDir))
	if err != nil {
		return nil, h, noSocket(ctx, runDir, err)
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
func noSocket(ctx context.Context, runDir string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	id, ok := wire.Recorded(runDir)
	if !ok || !id.Alive() {
		return errNone
	}
	listens := func() bool {
		conn, err := wire.Dial(ctx, wire.SocketPath(runDir))
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
	l, err = c.reach(ctx, pid, log.Name())
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
func (c *Control) spawn(log *os.File) (pid int, letGo func(), err error) {
	lifeline, hold, err := os.Pipe()
	if err != nil {
		return 0, nil, err
	}
	defer lifeline.Close()
	cmd := exec.Command(c.o.Command[0], c.o.Command[1:]...)
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

// reach attaches to the gateway that answers, until the process pid has ended.
func (c *Control) reach(ctx context.Context, pid int, log string) (l *link, err error) {
	var last error // why the last attempt failed
	err = c.await(ctx, func() bool {
		if c.reap(); !c.gone[pid] {
			last = fmt.Errorf("it ended at once: see %s", log)
			return true
		}
		conn, hello, err := find(ctx, c.runDir)
		if err == nil {
			l, err = c.attach(ctx, conn, hello)
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
	if path := wire.SocketPath(runDir); len(path) > maxSocketPath {
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

// StopGateway ends the gateway of a data folder, also when no control process
// runs, and returns when it is gone. When ctx ends first, the gateway is killed.
// One that was just being started by a control process that is gone ends by itself.
func StopGateway(ctx context.Context, dataDir string) error {
	runDir := filepath.Join(dataDir, "run")
	conn, hello, err := find(ctx, runDir)
	id := hello.Identity
	switch {
	case errors.Is(err, errNone):
		return nil
	case err == nil:
		err = errors.Join(askStop(ctx, conn), awaitEnd(ctx, id))
	default:
		var known bool
		if id, known = wire.Recorded(runDir); !known {
			return err
		}
	}
	if !id.Alive() {
		return nil
	}
	return errors.Join(fmt.Errorf("the gateway did not end in time and was killed: %w", err), kill(id))
}

// kill ends a gateway that does not listen to anybody, and waits until it is gone.
func kill(id wire.Identity) error {
	if err := id.Kill(); err != nil {
		return fmt.Errorf("kill the gateway: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	return awaitEnd(ctx, id)
}

// askStop asks; the answer may be lost, as the gateway closes the connection.
func askStop(ctx context.Context, conn *wire.Conn) error {
	defer conn.Close()
	var a wire.Attached
	files, err := conn.Call(ctx, wire.OpAttach, struct{}{}, &a)
	if err != nil {
		return err
	}
	for _, f := range files {
		f.Close()
	}
	_, err = conn.Call(ctx, wire.OpStop, wire.Stop{Epoch: a.Epoch}, &struct{}{})
	return err
}

func awaitEnd(ctx context.Context, id wire.Identity) error {
	t := time.NewTicker(pollStep)
	defer t.Stop()
	for id.Alive() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
	return nil
}
