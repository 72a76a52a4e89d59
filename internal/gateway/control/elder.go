package control

import (
	"context"
	"errors"
	"slices"

	"github.com/droverhq/drover/internal/gateway/wire"
)

// elder is what is known of the gateway that leaves, beside the one that serves.
type elder struct {
	facts     wire.Facts
	instances map[string]wire.InstanceFacts
	mute      bool // it tells nothing
	gone      bool // it has ended: these are its last words
}

// counts says whether its figures are to be added to those of the one that serves.
func (e *elder) counts(serving wire.Facts) bool {
	return e != nil && e.facts.Process != "" && e.facts.Process != serving.Process &&
		e.facts.Incarnation == serving.Incarnation && e.facts.Process != serving.Inherited
}

// with are facts of a balancer with what the one that leaves has of it.
func (e *elder) with(b wire.BalancerFacts, serving wire.Facts) wire.BalancerFacts {
	if !e.counts(serving) {
		return b
	}
	i := slices.IndexFunc(e.facts.Balancers, func(f wire.BalancerFacts) bool { return f.Name == b.Name })
	if i < 0 {
		return b
	}
	f := e.facts.Balancers[i]
	b.Counters = b.Counters.Plus(f.Counters)
	b.Refused += f.Refused
	b.LogDropped += f.LogDropped
	if !e.gone {
		b.Connections += f.Connections
		b.Queued += f.Queued
	}
	return b
}

// current says whether it has told what came of what it was sent.
func (e *elder) current(pushed int64) bool {
	return e == nil || !e.mute && (e.gone || e.facts.Generation >= pushed)
}

func (e *elder) drain(instance string) *wire.Drain {
	if e == nil {
		return nil
	}
	return e.instances[instance].Drain
}

// mute is a gateway that leaves and cannot be told anything: of another protocol, or
// asked to by one of another. What needs every gateway waits until it has ended.
func mute(id wire.Identity) *link {
	return &link{hello: wire.Hello{Identity: id}, gone: make(chan struct{})}
}

func (l *link) mute() bool { return l.calls == nil }

func (l *link) ended() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// elder finds the gateway that leaves; nil: none does. It is asked for once the one
// that serves is known: what that one took the place of can be found by then.
func (c *Control) elder(ctx context.Context, serving *link) (*link, error) {
	id, known := wire.Leaving.Recorded(c.runDir)
	if !known || !id.Alive() || id == serving.hello.Identity {
		return nil, nil // that it records itself first says that it only tries to leave
	}
	if !hasSocket(c.runDir) {
		return mute(id), nil
	}
	return c.adopt(ctx, wire.Leaving)
}

// meet takes in what the gateway that leaves knows, before the other one is asked:
// from then on, both together are what one was.
func (c *Control) meet(ctx context.Context, e *link) error {
	if e.mute() {
		c.updateElder(&elder{mute: true})
		return nil
	}
	f, err := e.ask(ctx, 0)
	if err == nil {
		c.told(f)
	}
	if errors.Is(err, wire.ErrSuperseded) || ctx.Err() != nil {
		return err
	}
	return nil // outlast finds out what became of it
}

// told takes in facts of the gateway that leaves.
func (c *Control) told(f wire.Facts) {
	e := &elder{facts: f, instances: make(map[string]wire.InstanceFacts, len(f.Instances))}
	for _, i := range f.Instances {
		e.instances[i.Name] = i
	}
	c.updateElder(e)
}

// outlast takes facts in until the gateway that leaves has ended. One that does not
// answer any more is ended.
func (c *Control) outlast(ctx context.Context, e *link) error {
	if !e.mute() {
		err := c.poll(ctx, e, c.told)
		if errors.Is(err, wire.ErrSuperseded) || ctx.Err() != nil {
			return err
		}
		e.close()
		wait, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		if awaitEnd(wait, e.hello.Identity) != nil && ctx.Err() == nil {
			c.o.Logger.Error("The gateway that leaves does not answer: killing it", "pid", e.hello.Identity.PID, "error", err)
			if err := kill(e.hello.Identity); err != nil {
				return err
			}
		}
	} else if err := awaitEnd(ctx, e.hello.Identity); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.o.Logger.Info("The gateway that was replaced has ended", "pid", e.hello.Identity.PID)
	c.reap()
	close(e.gone)
	c.elderGone()
	signal(c.view.changed) // what waited for it can be confirmed
	return nil
}

// tellElder gives the gateway that leaves the same snapshot, without the sockets.
func (p *pusher) tellElder(ctx context.Context, w wire.Snapshot) error {
	e := p.elder
	if e == nil || e.mute() || e.ended() {
		return nil
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := e.calls.Call(call, wire.OpApply, wire.Apply{Epoch: e.epoch, Snapshot: w}, &wire.Applied{})
	if err == nil || errors.Is(err, wire.ErrSuperseded) {
		return err
	}
	e.polls.Close() // it has ended, or is to
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-e.gone:
		return nil
	}
}

func (a *answers) updateElder(e *elder) {
	a.mu.Lock()
	a.elder = e
	a.mu.Unlock()
	signal(a.changed)
}

// elderGone keeps the last words of a gateway until the one that serves has taken
// them over, or begun to count anew.
func (a *answers) elderGone() {
	a.mu.Lock()
	if a.elder != nil {
		last := *a.elder
		last.gone, last.mute = true, false
		a.elder = &last
		if !last.counts(a.facts) {
			a.elder = nil
		}
	}
	a.mu.Unlock()
	signal(a.changed)
}
