package gateway

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/droverhq/drover/internal/gateway/probe"
	"github.com/droverhq/drover/internal/gateway/proxy"
	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
)

// stage is how far one gateway has succeeded another.
type stage int

const (
	normal    stage = iota
	standing        // snapshots are rehearsed: nothing listens, asks or counts
	paused          // nothing is accepted, until it is known whether a successor serves
	departing       // a successor serves; what is connected here is finished by the snapshots that come
)

// rehearse finds out what of a snapshot could be applied.
func (s *state) rehearse(w wire.Snapshot) wire.Applied {
	s.guard.set(w.Sockets)
	errs := map[string]string{}
	rehearsed := w
	for _, p := range s.plan(&w, errs) {
		p.close()
	}
	s.rehearsed, s.floor = rehearsed, rehearsed.Generation
	return wire.Applied{Generation: rehearsed.Generation, Errors: errs}
}

// approve has the metadata endpoint served, from the next snapshot on.
func (s *state) approve(e *endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoint = e
}

// pause stops accepting everywhere, and returns all that is known.
func (s *state) pause(generation int64) (wire.Facts, error) {
	s.mu.Lock()
	if s.stopping || s.stage != normal || s.applied.Generation != generation {
		s.mu.Unlock()
		return wire.Facts{}, fmt.Errorf("generation %d is not what is applied", generation)
	}
	s.stage = paused
	if s.endpoint != nil {
		s.endpoint.close() // first: what it waits for may take a moment
	}
	for _, b := range s.balancers {
		b.pause()
	}
	s.mu.Unlock()
	return s.facts(), nil
}

// resume accepts again: nobody succeeds this gateway.
func (s *state) resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != paused {
		return nil
	}
	s.stage = normal
	var errs []error
	for _, b := range s.balancers {
		errs = append(errs, b.resume())
	}
	if s.endpoint != nil {
		s.endpoint.approvals.open()
		s.endpoint.apply(s.applied, s.sockets)
	}
	return errors.Join(errs...)
}

// leave gives up what the successor has now.
func (s *state) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stage, s.endpoint = departing, nil
	for _, b := range s.balancers {
		b.on = nil
		b.closeRedirect()
	}
	s.dropSockets(nil)
	for _, t := range s.sets {
		for _, i := range t.instances {
			if i.trial != nil {
				i.trial.stop()
			}
		}
	}
	s.touch()
}

// finishLeaving returns when every client's connection is given away or has ended.
func (s *state) finishLeaving(give func(balancer string, list []proxy.IdleConn) error, soon <-chan struct{}) {
	var fronts sync.WaitGroup
	s.mu.Lock()
	for name, b := range s.balancers {
		switch f := b.front.(type) {
		case nil:
		case *proxy.Front:
			fronts.Go(func() {
				f.Leave(func(list []proxy.IdleConn) error { return give(name, list) }, soon)
			})
		default:
			fronts.Go(func() { f.Finish(0) })
		}
	}
	s.mu.Unlock()
	fronts.Wait()
	s.finishing.Wait() // of balancers that were gone before
}

// finishes says whether a balancer, as it is to be now, still has connections here.
func (s *state) finishes(b wire.Balancer) bool {
	old := s.balancers[b.Name]
	return old != nil && old.front != nil && old.Spec.Protocol == b.Spec.Protocol
}

// succeed makes the rehearsed snapshot true, with what the predecessor knew.
func (s *state) succeed(q wire.Succeed) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != standing || s.rehearsed.Generation != q.Rehearsed {
		return fmt.Errorf("generation %d was not rehearsed", q.Rehearsed)
	}
	f := q.Facts
	s.stage, s.incarnation = normal, f.Incarnation
	s.elder = map[string]wire.InstanceFacts{}
	for _, i := range f.Instances {
		s.elder[i.Name] = i
	}
	up := map[string][]string{}
	for _, b := range f.Balancers {
		up[b.Name] = b.Up
	}
	w := s.rehearsed
	for i := range w.Balancers {
		w.Balancers[i].Up = up[w.Balancers[i].Name]
	}
	s.enact(w)
	s.elder, s.rehearsed = nil, wire.Snapshot{}
	return nil
}

// elderProbe is what the predecessor found out about a process.
func (s *state) elderProbe(i wire.Instance) (r probe.Result) {
	if p := s.elder[i.Name].Probe; p != nil && p.StartedAt.Equal(i.StartedAt) {
		r = probe.Result{Successes: p.Successes, Failures: p.Failures, At: p.LastAt, Error: p.LastError}
	}
	return r
}

// adopt goes on with a connection of the predecessor, if its balancer is still there.
func (s *state) adopt(balancer string, i proxy.IdleConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.balancers[balancer]; b != nil {
		if f, ok := b.front.(*proxy.Front); ok {
			f.Adopt(i)
			return
		}
	}
	_ = i.TCP.Close()
}

// inherit adds what the predecessor counted, which has ended.
func (s *state) inherit(f wire.Facts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range f.Figures {
		t := s.sets[x.Set]
		switch {
		case t == nil:
		case x.Version == "" && x.Colour == "":
			t.unserved.Include(x.Counters)
		default:
			t.counters(issue{x.Colour, x.Version}).Include(x.Counters)
		}
	}
	for _, x := range f.Balancers {
		if b := s.balancers[x.Name]; b != nil {
			b.counters.Include(x.Counters)
			b.inherited.refused += x.Refused
			b.inherited.logDropped += x.LogDropped
		}
	}
	for _, t := range s.sets {
		for _, x := range f.Instances {
			if i := t.instances[x.Name]; i != nil && i.Admission != resource.AdmissionInService {
				i.elder = x.Drain
			}
		}
	}
	s.inherited = f.Process
	s.touch()
}

// disinherit begins to count anew: what the predecessor had counted is lost, so that
// no difference from a count of before means anything.
func (s *state) disinherit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.incarnation = rand.Text()
	s.touch()
}

// listener accepts on a socket that is held.
func (s *socket) listener() (*net.TCPListener, error) {
	l, err := net.FileListener(s.file)
	if err != nil {
		return nil, fmt.Errorf("use the socket %q: %w", s.Name, err)
	}
	return l.(*net.TCPListener), nil
}
