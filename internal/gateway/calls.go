package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/droverhq/drover/internal/gateway/wire"
)

// maxConns is more than one control process and its successor need.
const maxConns = 16

func (p *process) accept() {
	for {
		c, err := p.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.o.Logger.Error("A control process could not be accepted", "error", err)
			select {
			case <-p.ended:
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		p.take(wire.NewConn(c))
	}
}

func (p *process) take(c *wire.Conn) {
	p.mu.Lock()
	full := len(p.conns) >= maxConns
	if !full {
		p.conns[c] = struct{}{}
	}
	p.mu.Unlock()
	if full {
		_ = c.Close()
		return
	}
	p.serving.Go(func() {
		err := c.Serve(func(op string, body json.RawMessage, files []*os.File) (any, []*os.File, error) {
			return p.handle(c, op, body, files)
		})
		if err != nil && !hungUp(err) {
			p.o.Logger.Warn("The connection to a control process broke", "error", err)
		}
		_ = c.Close()
		p.elderEnded(c)
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
	})
}

// hungUp says that the other end has ended, or was told to, with a call in progress.
func hungUp(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

func (p *process) closeConns() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *process) handle(c *wire.Conn, op string, body json.RawMessage, files []*os.File) (any, []*os.File, error) {
	switch op {
	case wire.OpHello:
		return p.hello, nil, nil
	case wire.OpAttach:
		return p.attach()
	case wire.OpApply:
		var a wire.Apply
		if err := p.decode(body, &a, &a.Epoch); err != nil {
			closeFiles(files)
			return nil, nil, err
		}
		out, err := p.state.apply(a, files)
		return out, nil, err
	case wire.OpPoll:
		var q wire.Poll
		if err := p.decode(body, &q, &q.Epoch); err != nil {
			return nil, nil, err
		}
		p.state.wait(q.After, q.Wait, p.ended)
		return p.state.facts(), nil, p.current(q.Epoch)
	case wire.OpStop:
		var s wire.Stop
		if err := p.decode(body, &s, &s.Epoch); err != nil {
			return nil, nil, err
		}
		return struct{}{}, nil, p.askStop(s)
	case wire.OpLeave:
		var l wire.Leave
		if err := p.decode(body, &l, &l.Epoch); err != nil {
			return nil, nil, err
		}
		return struct{}{}, nil, p.leave(l)
	}
	return struct{}{}, nil, p.handleElder(c, op, body, files)
}

func (p *process) decode(body json.RawMessage, into any, epoch *int64) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("decode the call: %w", err)
	}
	return p.current(*epoch)
}

// current refuses a control process that another one has replaced.
func (p *process) current(epoch int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if epoch != p.epoch {
		return wire.ErrSuperseded
	}
	return nil
}

func (p *process) attach() (any, []*os.File, error) {
	p.mu.Lock()
	p.epoch++
	epoch := p.epoch
	p.mu.Unlock()
	applied, sockets, files := p.state.attached()
	return wire.Attached{Epoch: epoch, Applied: applied, Sockets: sockets}, files, nil
}

// askStop hands the wish to Run. For a handover it returns when a successor can start.
func (p *process) askStop(s wire.Stop) error {
	select {
	case p.stop <- s:
	default: // it stops already
	}
	if !s.Handover {
		return nil
	}
	select {
	case <-p.released:
		return nil
	case <-time.After(lockWait):
		return errors.New("the gateway could not give up its socket")
	}
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
