package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/droverhq/drover/internal/gateway/proxy"
	"github.com/droverhq/drover/internal/gateway/wire"
)

const (
	// succeedTimeout is how long a successor may take to serve, while nobody accepts.
	succeedTimeout = 5 * time.Second
	// inheritTimeout is how long it may take to hear what was counted.
	inheritTimeout = 5 * time.Second
	killStep       = 2 * time.Millisecond
)

// leave gives way to the gateway that stands by. When that fails, it serves on.
func (p *process) leave(l wire.Leave) error {
	p.handing.Lock()
	defer p.handing.Unlock()
	if p.closing || p.role != serves {
		return errStopping
	}
	if id, known := wire.Leaving.Recorded(p.o.RunDir); known && id.Alive() {
		return errors.New("the gateway before this one has not ended yet")
	}
	heir, id, err := p.findHeir()
	if err != nil {
		return err
	}
	facts, err := p.state.pause(l.Generation)
	if err == nil {
		err = p.giveWay(heir, wire.Succeed{Rehearsed: l.Rehearsed, Facts: facts})
	}
	if err != nil {
		err = errors.Join(err, heir.Close(), end(id), p.serveOn())
		p.o.Logger.Error("No gateway succeeds this one", "error", err)
		return err
	}
	p.o.Logger.Info("Another gateway serves, this one leaves", "pid", id.PID)
	p.heir, p.role = heir, leaving
	_ = p.lock.Close()
	p.state.leave()
	close(p.left)
	if p.current(l.Epoch) != nil {
		p.closeConns() // a control process that came meanwhile must not take this one for the one that serves
	}
	return nil
}

// findHeir connects to the gateway that stands by.
func (p *process) findHeir() (*wire.Conn, wire.Identity, error) {
	ctx, cancel := context.WithTimeout(context.Background(), succeedTimeout)
	defer cancel()
	c, err := wire.Dial(ctx, wire.Standby.SocketPath(p.o.RunDir))
	if err != nil {
		return nil, wire.Identity{}, err
	}
	var h wire.Hello
	if _, err := c.Call(ctx, wire.OpHello, struct{}{}, &h); err != nil {
		_ = c.Close()
		return nil, wire.Identity{}, err
	}
	return c, h.Identity, nil
}

// giveWay has the successor serve. First of all, this gateway can be found as the
// one that leaves: whoever finds the other one as the one that serves will look for it.
func (p *process) giveWay(heir *wire.Conn, s wire.Succeed) error {
	dir := p.o.RunDir
	if err := wire.Leaving.Record(dir, p.hello.Identity); err != nil {
		return err
	}
	_ = os.Remove(wire.Leaving.SocketPath(dir))
	if err := os.Link(wire.Serving.SocketPath(dir), wire.Leaving.SocketPath(dir)); err != nil {
		return fmt.Errorf("name the socket of a gateway that leaves: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), succeedTimeout)
	defer cancel()
	_, err := heir.Call(ctx, wire.OpSucceed, s, &struct{}{}, p.lock)
	return err
}

// end kills a successor that did not come to serve, or nobody knows whether it did.
func end(id wire.Identity) error {
	err := id.Kill()
	for limit := time.Now().Add(succeedTimeout); id.Alive() && time.Now().Before(limit); {
		time.Sleep(killStep)
	}
	return err
}

// serveOn takes everything back from a successor, which is dead.
func (p *process) serveOn() error {
	dir := p.o.RunDir
	err := wire.Serving.Record(dir, p.hello.Identity)
	if to := wire.Leaving.SocketPath(dir); exists(to) {
		err = errors.Join(err, os.Rename(to, wire.Serving.SocketPath(dir)), ignoreMissing(os.Remove(to)))
	}
	return errors.Join(err, ignoreMissing(os.Remove(wire.Leaving.IdentityPath(dir))), p.state.resume())
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// outlive finishes what the successor cannot take, and ends.
func (p *process) outlive(ctx context.Context, told bool) {
	soon, done := make(chan struct{}), make(chan struct{})
	p.serving.Go(func() {
		defer close(done)
		p.state.finishLeaving(p.give, soon)
	})
	if !told {
		select {
		case <-done:
		case <-p.stop:
		case <-ctx.Done():
		}
	}
	close(soon)
	<-done
	p.bequeath()
	p.state.finish()
	close(p.ended)
	_ = p.listener.Close()
	p.closeConns()
	p.serving.Wait()
	_ = os.Remove(wire.Leaving.SocketPath(p.o.RunDir))
	_ = os.Remove(wire.Leaving.IdentityPath(p.o.RunDir))
}

// give gives idle connections of a balancer to the successor. It waits for as long
// as that lives: once it has been told, the connections may be in use there.
func (p *process) give(balancer string, list []proxy.IdleConn) error {
	var take wire.Take
	var files []*os.File
	defer func() { closeFiles(files) }()
	for _, i := range list {
		f, err := i.TCP.File()
		if err != nil {
			return fmt.Errorf("duplicate a client's connection: %w", err)
		}
		files = append(files, f)
		take.Conns = append(take.Conns, wire.IdleConn{Balancer: balancer, First: i.First, Age: i.Age})
	}
	_, err := p.heir.Call(context.Background(), wire.OpTake, take, &struct{}{}, files...)
	return err
}

// bequeath tells the successor what was counted here. One that is gone needs it no more.
func (p *process) bequeath() {
	ctx, cancel := context.WithTimeout(context.Background(), inheritTimeout)
	defer cancel()
	if _, err := p.heir.Call(ctx, wire.OpInherit, wire.Inherit{Facts: p.state.facts()}, &struct{}{}); err != nil {
		p.o.Logger.Warn("What this gateway counted is lost", "error", err)
	}
	_ = p.heir.Close()
}

// handleElder answers the predecessor.
func (p *process) handleElder(c *wire.Conn, op string, body json.RawMessage, files []*os.File) error {
	switch op {
	case wire.OpSucceed:
		return on(body, files, func(s wire.Succeed) error { return p.succeed(c, s, files) })
	case wire.OpTake:
		return on(body, files, func(t wire.Take) error { return p.adopt(c, t, files) })
	case wire.OpInherit:
		return on(body, files, func(i wire.Inherit) error { return p.inherit(c, i) })
	}
	closeFiles(files)
	return fmt.Errorf("unknown call %q", op)
}

func on[T any](body json.RawMessage, files []*os.File, do func(T) error) error {
	var asked T
	if err := json.Unmarshal(body, &asked); err != nil {
		closeFiles(files)
		return fmt.Errorf("decode the call: %w", err)
	}
	return do(asked)
}

// succeed serves in the place of the predecessor, which has stopped accepting.
func (p *process) succeed(c *wire.Conn, s wire.Succeed, files []*os.File) error {
	p.handing.Lock()
	defer p.handing.Unlock()
	if p.closing || p.role != standby || len(files) != 1 {
		closeFiles(files)
		return errors.New("this gateway does not stand by")
	}
	a, err := openApprovals(wire.ApprovalsPath(p.o.RunDir), p.o.Logger)
	if err == nil {
		err = p.takePlace()
	}
	if err != nil {
		closeFiles(files)
		return err
	}
	// From here on it is found, and needs nobody to know of it.
	p.lock, p.role, p.elder = files[0], serves, c
	p.state.approve(newEndpoint(a, p.o.Metadata, p.state.touch, p.o.Logger))
	return p.state.succeed(s)
}

// takePlace makes this gateway the one that is found.
func (p *process) takePlace() error {
	dir := p.o.RunDir
	if err := wire.Serving.Record(dir, p.hello.Identity); err != nil {
		return err
	}
	if err := os.Rename(wire.Standby.SocketPath(dir), wire.Serving.SocketPath(dir)); err != nil {
		return fmt.Errorf("take the place of the gateway that serves: %w", err)
	}
	return nil
}

// adopt goes on with connections of the predecessor.
func (p *process) adopt(c *wire.Conn, t wire.Take, files []*os.File) error {
	err := p.fromElder(c)
	if err == nil && len(files) != len(t.Conns) {
		err = fmt.Errorf("%d connections were named and %d given", len(t.Conns), len(files))
	}
	if err != nil {
		closeFiles(files)
		return err
	}
	for n, f := range files {
		nc, err := net.FileConn(f)
		f.Close()
		if err != nil {
			p.o.Logger.Warn("A connection could not be taken over", "error", err)
			continue
		}
		i := t.Conns[n]
		p.state.adopt(i.Balancer, proxy.IdleConn{TCP: nc.(*net.TCPConn), First: i.First, Age: i.Age})
	}
	return nil
}

func (p *process) inherit(c *wire.Conn, i wire.Inherit) error {
	if err := p.fromElder(c); err != nil {
		return err
	}
	p.state.inherit(i.Facts)
	p.handing.Lock()
	defer p.handing.Unlock()
	p.elder = nil
	return nil
}

func (p *process) fromElder(c *wire.Conn) error {
	p.handing.Lock()
	defer p.handing.Unlock()
	if p.elder != c {
		return errors.New("only the gateway before this one may ask for that")
	}
	return nil
}

// elderEnded notes that what the predecessor counted is lost, if it was c's other end.
func (p *process) elderEnded(c *wire.Conn) {
	p.handing.Lock()
	defer p.handing.Unlock()
	if p.elder == c {
		p.elder = nil
		p.state.disinherit()
	}
}
