package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/internal/gateway/accesslog"
	"github.com/droverhq/drover/internal/gateway/wire"
)

// lockWait is how long a gateway waits for its predecessor to be gone.
const lockWait = 10 * time.Second

// Options say where a gateway lives.
type Options struct {
	// RunDir holds the private socket; it must exist, and be its owner's only.
	RunDir string
	// Version is the program's, for those who ask.
	Version string
	// Standby: it is to succeed the gateway that serves, once that is told to leave.
	Standby bool
	// Lifeline is at its end when the process that started this gateway is gone: if
	// no control process has attached by then, or it still stands by, the gateway
	// ends. Nil: it stays.
	Lifeline *os.File
	// Metadata makes the servers of the instances' metadata endpoint; nil: it is not served.
	Metadata MetadataServers
	// AccessLogs says what must not be in them.
	AccessLogs accesslog.Options
	Logger     *slog.Logger
}

// Run is the gateway process. It returns when ctx ends or it was told to stop,
// after what was in flight has been finished.
func Run(ctx context.Context, o Options) error {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	p := newProcess(o)
	ctx, abandon := context.WithCancelCause(ctx)
	defer abandon(nil)
	unwatch, err := p.watchStarter(abandon)
	if err != nil {
		return err
	}
	defer unwatch()
	if err := p.open(ctx); err != nil {
		return err
	}
	o.Logger.Info("The gateway runs", "version", o.Version, "incarnation", p.hello.Incarnation, "standby", o.Standby)
	p.serving.Go(p.accept)
	p.serving.Go(p.sweep)
	p.serving.Go(p.watchCertificates)
	var s wire.Stop
	told := true
	select {
	case <-ctx.Done():
		o.Logger.Info("The gateway is to end", "cause", context.Cause(ctx))
	case s = <-p.stop:
	case <-p.left:
		told = false
	}
	p.handing.Lock() // no succession is half way
	p.closing = true
	p.handing.Unlock()
	if p.role == leaving {
		p.outlive(ctx, told)
	} else {
		p.end(s)
	}
	return nil
}

// end finishes what is in flight. A successor may start meanwhile.
func (p *process) end(s wire.Stop) {
	p.o.Logger.Info("The gateway stops", "handover", s.Handover)
	finish := p.state.close(s.Handover)
	p.release(s.Handover)
	if s.Handover {
		close(p.released)
	} else {
		p.closeConns() // a control process that did not ask for this starts another one now
	}
	finish()
	p.closeConns()
	p.serving.Wait()
	if s.Handover {
		_ = os.Remove(wire.Leaving.IdentityPath(p.o.RunDir))
	}
}

var errAbandoned = errors.New("who started this gateway is gone, and nobody has attached to it")

// watchStarter calls abandon when the control process that started this gateway
// ended before any attached. Else nobody might ever know of it: the next one may
// have started another, or `down` have been the last word.
func (p *process) watchStarter(abandon context.CancelCauseFunc) (stop func(), err error) {
	if p.o.Lifeline == nil {
		return func() {}, nil
	}
	// A duplicate, as reads of what this process was started with cannot be ended.
	fd, err := unix.FcntlInt(p.o.Lifeline.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return nil, fmt.Errorf("watch who started the gateway: %w", err)
	}
	line := os.NewFile(uintptr(fd), "lifeline")
	var watching sync.WaitGroup
	watching.Go(func() {
		if _, err := io.Copy(io.Discard, line); err == nil && p.unknown() {
			abandon(errAbandoned)
		}
	})
	return func() {
		_ = line.Close()
		watching.Wait()
	}, nil
}

// unknown says that nobody knows of this gateway but who started it. One that
// stands by will succeed nobody any more.
func (p *process) unknown() bool {
	p.handing.Lock()
	defer p.handing.Unlock()
	if p.role == standby {
		p.closing = true
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.role == serves && p.epoch == 0
}

// role is what this process is to the data folder.
type role int

const (
	standby role = iota
	serves
	leaving
)

// process is the gateway's end of the private socket.
type process struct {
	o       Options
	hello   wire.Hello
	state   *state
	stop    chan wire.Stop
	serving sync.WaitGroup

	listener *net.UnixListener
	released chan struct{} // closed: a successor can start
	ended    chan struct{} // closed: nothing new is answered
	left     chan struct{} // closed: a successor serves

	handing sync.Mutex // held while one gateway succeeds another; before mu
	closing bool       // it ends, and takes no part in any succession
	role    role
	lock    *os.File   // of the one that serves
	heir    *wire.Conn // of the one that leaves: to the successor
	elder   *wire.Conn // of the one that serves: from its predecessor, until that has ended

	mu    sync.Mutex
	epoch int64
	conns map[*wire.Conn]struct{}
}

func newProcess(o Options) *process {
	p := &process{
		o: o, stop: make(chan wire.Stop, 1), conns: map[*wire.Conn]struct{}{},
		released: make(chan struct{}), ended: make(chan struct{}), left: make(chan struct{}),
	}
	p.hello = wire.Hello{Protocol: wire.Protocol, Version: o.Version, Incarnation: rand.Text(), Program: wire.OwnProgram()}
	p.state = newState(p.hello.Incarnation, o.Logger)
	p.state.logs = o.AccessLogs
	p.state.logs.Logger = o.Logger
	return p
}

func (p *process) open(ctx context.Context) (err error) {
	if p.hello.Identity, err = wire.Self(); err != nil {
		return err
	}
	if p.o.Standby {
		p.state.stage = standing
		return p.listen(wire.Standby)
	}
	if p.lock, err = takeLock(ctx, wire.LockPath(p.o.RunDir)); err != nil {
		return err
	}
	if err = p.serve(); err != nil {
		p.lock.Close()
	}
	return err
}

// serve makes this gateway the one that is found. It has the lock.
func (p *process) serve() error {
	// An elder gateway writes no approvals any more.
	a, err := openApprovals(wire.ApprovalsPath(p.o.RunDir), p.o.Logger)
	if err != nil {
		return err
	}
	p.state.approve(newEndpoint(a, p.o.Metadata, p.state.touch, p.o.Logger))
	if err := p.listen(wire.Serving); err != nil {
		return err
	}
	if err := wire.Serving.Record(p.o.RunDir, p.hello.Identity); err != nil {
		p.listener.Close()
		return err
	}
	p.handing.Lock()
	defer p.handing.Unlock()
	p.role = serves
	return nil
}

func (p *process) listen(r wire.Role) (err error) {
	path := r.SocketPath(p.o.RunDir)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the previous gateway's socket: %w", err)
	}
	if p.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"}); err != nil {
		return fmt.Errorf("open the gateway's socket: %w", err)
	}
	p.listener.SetUnlinkOnClose(false) // it may have another name by then, and another gateway this one
	if err := os.Chmod(path, 0o600); err != nil {
		p.listener.Close()
		return fmt.Errorf("protect the gateway's socket: %w", err)
	}
	return nil
}

// takeLock makes sure that there is one gateway: the lock goes with the process.
func takeLock(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the gateway's lock: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, lockWait, errors.New("another gateway runs in this data folder"))
	defer cancel()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("take the gateway's lock: %w", err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// release gives way to a successor: no call is taken any more, and the lock is
// free. Who lives on after that is still to be found, as the one that leaves.
func (p *process) release(livesOn bool) {
	close(p.ended)
	_ = p.listener.Close()
	if p.role == standby {
		return // by now its socket may be another's
	}
	_ = os.Remove(wire.Serving.SocketPath(p.o.RunDir))
	if livesOn {
		_ = wire.Leaving.Record(p.o.RunDir, p.hello.Identity)
	}
	_ = os.Remove(wire.Serving.IdentityPath(p.o.RunDir))
	_ = p.lock.Close()
}

// sweep closes what has been idle for long, once in a while.
func (p *process) sweep() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-p.ended:
			return
		case now := <-t.C:
			p.state.sweep(now)
		}
	}
}
