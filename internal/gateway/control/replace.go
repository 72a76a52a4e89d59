package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/droverhq/drover/internal/gateway/wire"
)

// errReplaced ends a connection to a gateway that another one has succeeded.
var errReplaced = errors.New("the gateway was replaced")

// replaceRetry is how soon a replacement that failed is tried again.
const replaceRetry = 5 * time.Second

// heir is a gateway that stands by.
type heir struct {
	*link
	failed chan error // why it does not serve
}

// Replace has another process succeed the gateway, of the program's file as it is
// now. It returns at once; what is in the way is logged, and it is tried again.
func (c *Control) Replace() { signal(c.replace) }

// prepare has a gateway stand by as soon as there is reason to replace the one that
// serves: it runs another program than would be started now, or Replace was called.
// Only one gateway leaves at a time.
func (c *Control) prepare(ctx context.Context, l, e *link, to chan<- *heir) error {
	if runs, now := l.hello.Program, wire.ProgramAt(c.o.Command[0]); l.foreign || runs != "" && now != "" && runs != now {
		c.o.Logger.Info("The gateway runs another program: it is to be replaced", "pid", l.hello.Identity.PID, "version", l.hello.Version, "by", c.o.Version)
		c.Replace()
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.replace:
		}
		if e != nil && !e.ended() {
			c.o.Logger.Info("The gateway is to be replaced once the one before it has ended", "pid", e.hello.Identity.PID)
			select {
			case <-ctx.Done():
				c.Replace() // it is still wanted
				return ctx.Err()
			case <-e.gone:
			}
		}
		err := c.standBy(ctx, to)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.o.Logger.Error("The gateway could not be replaced, and serves on", "error", err, "again", replaceRetry)
		if pause(ctx, replaceRetry) {
			c.Replace()
		}
	}
}

// standBy starts a gateway that stands by and leaves it to the pusher. It returns
// when that could not have it serve, with the process gone, or when ctx ends.
func (c *Control) standBy(ctx context.Context, to chan<- *heir) error {
	limit, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	log, err := c.openLog()
	if err != nil {
		return err
	}
	defer log.Close()
	pid, letGo, err := c.spawn(log, string(wire.Standby))
	if err != nil {
		return fmt.Errorf("start a gateway: %w", err)
	}
	defer c.dismiss(pid, letGo)
	l, err := c.reach(limit, wire.Standby, pid, log.Name())
	if err != nil {
		return fmt.Errorf("start a gateway: %w", err)
	}
	defer l.close()
	if l.hello.Identity.PID != pid || l.foreign {
		return fmt.Errorf("process %d stands by, of version %s", l.hello.Identity.PID, l.hello.Version)
	}
	h := &heir{link: l, failed: make(chan error, 1)}
	select {
	case to <- h:
	case <-limit.Done():
		return limit.Err()
	}
	select {
	case err := <-h.failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// dismiss ends a gateway that stands by, unless it serves by now: then everybody knows of it.
func (c *Control) dismiss(pid int, letGo func()) {
	letGo()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	err := c.await(ctx, func() bool {
		c.reap()
		id, known := wire.Serving.Recorded(c.runDir)
		return !c.gone[pid] || known && id.PID == pid
	})
	if err != nil {
		c.end(pid)
	}
}

// succeed has h serve in the place of the gateway that is told what h is.
func (p *pusher) succeed(ctx context.Context, h *heir) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	a := wire.Apply{Epoch: h.epoch, Snapshot: p.last, New: p.last.Sockets}
	files, err := p.control.book.files(a.New)
	if err != nil {
		return err
	}
	var done wire.Applied
	if _, err := h.calls.Call(ctx, wire.OpApply, a, &done, files...); err != nil {
		return err
	}
	for name, why := range done.Errors {
		if !p.link.foreign { // which serves what nobody can change any more
			return fmt.Errorf("it cannot serve the load balancer %s: %s", name, why)
		}
	}
	l := wire.Leave{Epoch: p.link.epoch, Generation: p.last.Generation, Rehearsed: p.last.Generation}
	if p.link.foreign {
		l.Generation = p.link.applied.Generation
	}
	if _, err := p.link.calls.Call(ctx, wire.OpLeave, l, &struct{}{}); err != nil {
		return err
	}
	p.control.o.Logger.Info("Replaced the gateway", "pid", h.hello.Identity.PID, "before", p.link.hello.Identity.PID)
	return nil
}

func hasSocket(runDir string) bool {
	_, err := os.Lstat(wire.Leaving.SocketPath(runDir))
	return err == nil
}
