package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"syscall"
	"time"

	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// problem is why a balancer serves by an older spec, or not at all.
type problem struct {
	reason  string // one word
	message string
	bind    bool // its address could not be listened on
}

// settle makes w what can be applied: for each balancer there is a socket, or it
// stays as it was last applied, or it is left out.
func (p *pusher) settle(ctx context.Context, w *wire.Snapshot) map[string]problem {
	maps.DeleteFunc(p.refused, func(_ string, r refusal) bool { return time.Since(r.at) >= retryRefused })
	problems := map[string]problem{}
	var list []wire.Balancer
	var sockets []string
	wanted := map[string]bool{}
	for _, b := range w.Balancers {
		wanted[b.Name] = true
		if trouble := p.trouble(ctx, b); trouble != nil {
			problems[b.Name] = *trouble
			old, ok := p.good[b.Name]
			if !ok || !p.control.book.has(old) {
				continue
			}
			old.Up, b = b.Up, old
		}
		list = append(list, b)
		sockets = append(sockets, b.Socket, b.Redirect)
	}
	for name := range p.good {
		if !wanted[name] {
			delete(p.good, name)
		}
	}
	w.Balancers = list
	w.Sockets = p.control.book.choose(sockets)
	return problems
}

// trouble says why b cannot be applied; nil: it can, and its socket is there.
func (p *pusher) trouble(ctx context.Context, b wire.Balancer) *problem {
	if r, ok := p.refused[balancerContent(b)]; ok {
		return &problem{reason: "Refused", message: r.why}
	}
	if trouble := p.bind(ctx, b.Socket, b.Spec.Listen); trouble != nil || b.Redirect == "" {
		return trouble
	}
	return p.bind(ctx, b.Redirect, b.Spec.TLS.RedirectFrom)
}

func (p *pusher) bind(ctx context.Context, socket, address string) *problem {
	if err := p.control.book.bind(ctx, socket, address); err != nil {
		return &problem{reason: bindReason(err), message: fmt.Sprintf("cannot listen on %s: %s", address, err), bind: true}
	}
	return nil
}

func bindReason(err error) string {
	switch {
	case errors.Is(err, errReserved):
		return "Reserved"
	case errors.Is(err, syscall.EADDRINUSE):
		return "AddressInUse"
	case errors.Is(err, syscall.EACCES):
		return "PermissionDenied"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "AddressNotAvailable"
	}
	return "CannotListen"
}

// addresses are where a balancer serves, and where it redirects from.
type addresses struct{ listen, redirect string }

// report writes what became of each balancer into its status, where that is news.
func (c *Control) report(ctx context.Context, w wire.Snapshot, problems map[string]problem) error {
	serving := map[string]addresses{}
	for _, b := range w.Balancers {
		serving[b.Name] = addresses{c.book.address(b.Socket), c.book.address(b.Redirect)}
	}
	c.preview(previewsOf(w, serving, problems))
	type change struct {
		name    string
		at      addresses
		problem *problem
	}
	var changes []change
	c.view.with(func(d documents) {
		for name, b := range d.balancers {
			var trouble *problem
			t, bad := problems[name]
			if bad {
				trouble = &t
			}
			if _, up := serving[name]; !up && !bad {
				continue // it is newer than w
			}
			if !says(b.Status, serving[name], trouble) {
				changes = append(changes, change{name, serving[name], trouble})
			}
		}
	})
	for _, ch := range changes {
		if err := c.write(ctx, ch.name, ch.at, ch.problem); err != nil {
			return err
		}
	}
	return nil
}

// previewsOf are the previews that the documents asked for, as they came to be.
func previewsOf(w wire.Snapshot, serving map[string]addresses, problems map[string]problem) map[string]Preview {
	previews := map[string]Preview{}
	for _, t := range w.Sets {
		name := previewName(t.Name)
		if trouble, bad := problems[name]; bad {
			previews[t.Name] = Preview{Problem: trouble.message}
		} else if at, up := serving[name]; up {
			previews[t.Name] = Preview{Address: at.listen}
		}
	}
	return previews
}

// write is essential: what a balancer serves is told also when there is no room.
func (c *Control) write(ctx context.Context, name string, at addresses, trouble *problem) error {
	return c.edit(ctx, name, func(s *resource.LoadBalancerStatus, now time.Time) {
		s.Address, s.RedirectAddress = at.listen, at.redirect
		for _, cond := range conditions(at.listen, trouble) {
			cond.Since = now
			s.Conditions = resource.SetCondition(s.Conditions, cond)
		}
		if trouble == nil {
			s.Conditions = resource.ClearCondition(s.Conditions, resource.ConditionNotApplied)
		}
	})
}

// edit changes the status of a load balancer, unless that is gone.
func (c *Control) edit(ctx context.Context, name string, change func(s *resource.LoadBalancerStatus, now time.Time)) error {
	_, err := c.o.Store.Update(store.Essential(ctx), func(tx *store.Tx) error {
		err := store.Edit(tx, resource.KindLoadBalancer, name, func(b *resource.LoadBalancer) error {
			change(&b.Status, tx.Now())
			return nil
		})
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("load balancer %s: %w", name, err)
	}
	return nil
}

// conditions are what a balancer's status shall say.
func conditions(address string, trouble *problem) []resource.Condition {
	listening := resource.Condition{Type: resource.ConditionListening, Status: address != ""}
	if trouble == nil {
		return []resource.Condition{listening}
	}
	if address == "" || trouble.bind {
		listening.Reason, listening.Message = trouble.reason, trouble.message
		listening.Status = false
	}
	return []resource.Condition{listening, {
		Type: resource.ConditionNotApplied, Status: true, Reason: trouble.reason, Message: trouble.message,
	}}
}

// says compares a status with what it shall say.
func says(s resource.LoadBalancerStatus, at addresses, trouble *problem) bool {
	if s.Address != at.listen || s.RedirectAddress != at.redirect {
		return false
	}
	for _, want := range conditions(at.listen, trouble) {
		have := resource.FindCondition(s.Conditions, want.Type)
		if have == nil || have.Status != want.Status || have.Reason != want.Reason || have.Message != want.Message {
			return false
		}
	}
	return trouble != nil || resource.FindCondition(s.Conditions, resource.ConditionNotApplied) == nil
}
