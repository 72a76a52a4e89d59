package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/droverhq/drover/internal/gateway/accesslog"
	"github.com/droverhq/drover/internal/gateway/probe"
	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
)

var errStopping = errors.New("the gateway is stopping")

// state is what the gateway does: the last snapshot, made true.
type state struct {
	process    string // names this one
	logger     *slog.Logger
	probers    *probe.Probers
	guard      guard
	news       news
	logs       accesslog.Options // of the balancers
	finishing  sync.WaitGroup    // fronts that were closed
	background sync.WaitGroup    // recoveries

	mu       sync.Mutex
	stopping bool
	stage    stage
	endpoint *endpoint // nil: no metadata is served
	// incarnation names the counters' beginning, inherited the process whose were added.
	incarnation, inherited string
	rehearsed              wire.Snapshot                 // while it stands by
	elder                  map[string]wire.InstanceFacts // what the predecessor knew, while it is succeeded
	floor                  int64                         // the oldest generation that this epoch may apply
	applied                wire.Snapshot
	// Of the snapshot that is applied, or being applied:
	hostPaths   resource.HostPaths
	affinityKey []byte
	sockets     map[string]*socket
	sets        map[string]*set
	balancers   map[string]*balancer
	complaints  map[string]string // that were told, by balancer
}

func newState(process string, logger *slog.Logger) *state {
	s := &state{
		process:     process,
		incarnation: process,
		logger:      logger,
		sockets:     map[string]*socket{},
		sets:        map[string]*set{},
		balancers:   map[string]*balancer{},
	}
	s.probers = probe.New(probe.Network(s.forbidden))
	return s
}

// socket is a listening socket that is held, whether or not it is accepted on.
type socket struct {
	wire.Socket
	file *os.File
}

// attached begins an epoch: its control process may apply any snapshot first,
// and is given what it needs to go on from here.
func (s *state) attached() (wire.Snapshot, []wire.Socket, []*os.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.floor = 0
	var list []wire.Socket
	var files []*os.File
	for _, name := range slices.Sorted(maps.Keys(s.sockets)) {
		list = append(list, s.sockets[name].Socket)
		files = append(files, s.sockets[name].file)
	}
	s.touch() // the elder epoch's poll is to end
	return s.applied, list, files
}

// apply makes a snapshot true. Each balancer changes as a whole or not at all.
func (s *state) apply(a wire.Apply, files []*os.File) (wire.Applied, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.acceptable(a, files); err != nil {
		closeFiles(files)
		return wire.Applied{}, err
	}
	s.takeSockets(a.New, files)
	if s.stage == standing {
		return s.rehearse(a.Snapshot), nil
	}
	return s.enact(a.Snapshot), nil
}

// enact makes a snapshot true, of which all sockets are there.
func (s *state) enact(w wire.Snapshot) wire.Applied {
	s.guard.set(w.Sockets)
	s.hostPaths, s.affinityKey = w.HostPaths, w.AffinityKey
	errs := map[string]string{}
	plans := s.plan(&w, errs)
	s.updateSets(w, plans)
	s.updateBalancers(plans)
	if s.endpoint != nil {
		s.endpoint.apply(w, s.sockets)
	}
	s.dropSockets(w.Sockets)
	s.applied, s.floor = w, w.Generation
	s.touch()
	return wire.Applied{Generation: w.Generation, Errors: errs}
}

func (s *state) acceptable(a wire.Apply, files []*os.File) error {
	switch {
	case s.stopping, s.stage == paused:
		return errStopping
	case a.Snapshot.Generation < s.floor:
		return fmt.Errorf("generation %d after %d: %w", a.Snapshot.Generation, s.floor, wire.ErrOutdated)
	case len(files) != len(a.New):
		return fmt.Errorf("%d sockets were named and %d given", len(a.New), len(files))
	}
	return nil
}

// takeSockets takes in what is given. A socket that is held already stays: a front
// that accepts on it would be replaced, and end its connections.
func (s *state) takeSockets(list []wire.Socket, files []*os.File) {
	for i, w := range list {
		if old := s.sockets[w.Name]; old != nil {
			if old.Socket == w {
				files[i].Close()
				continue
			}
			old.file.Close()
		}
		s.sockets[w.Name] = &socket{Socket: w, file: files[i]}
	}
}

// dropSockets closes what the snapshot does not name, and the fronts on them are
// closed already. One whose balancer could not leave it is kept, and an error reported.
func (s *state) dropSockets(wanted []wire.Socket) {
	used := map[*socket]bool{}
	for _, b := range s.balancers {
		used[b.on] = true
		if b.redirect != nil {
			used[b.redirect.on] = true
		}
	}
	for name, held := range s.sockets {
		if !slices.Contains(wanted, held.Socket) && !used[held] {
			held.file.Close()
			delete(s.sockets, name)
		}
	}
}

// plan makes ready what each balancer becomes. One that cannot be applied stays
// in the snapshot as it was, or not at all.
func (s *state) plan(w *wire.Snapshot, errs map[string]string) []*plan {
	var plans []*plan
	var kept []wire.Balancer
	for _, b := range w.Balancers {
		old := s.balancers[b.Name]
		if s.stage == departing && !s.finishes(b) {
			continue
		}
		p, err := s.planBalancer(b)
		if err != nil {
			errs[b.Name] = err.Error()
			s.complain(b.Name, err)
			if old != nil {
				p, err = s.planBalancer(old.Balancer)
			}
		} else if old == nil || !reflect.DeepEqual(old.Spec, b.Spec) {
			delete(s.complaints, b.Name)
		}
		if err == nil {
			plans = append(plans, p)
			kept = append(kept, p.Balancer)
		}
	}
	w.Balancers = kept
	return plans
}

// maxComplaints bounds what is remembered of balancers that may be gone.
const maxComplaints = 1000

// complain tells why a balancer cannot be applied: not again and again, as it is
// tried for as long as the document asks for it.
func (s *state) complain(balancer string, err error) {
	why := err.Error()
	if s.complaints[balancer] == why {
		return
	}
	if s.complaints == nil || len(s.complaints) >= maxComplaints {
		s.complaints = map[string]string{}
	}
	s.complaints[balancer] = why
	s.logger.Warn("A load balancer keeps its previous state", "balancer", balancer, "error", err)
}

// updateSets brings all sets in line: those of the snapshot, those that a
// balancer names before they exist, and its fixed addresses.
func (s *state) updateSets(w wire.Snapshot, plans []*plan) {
	wanted := map[string]wire.Set{}
	for _, t := range w.Sets {
		wanted[t.Name] = t
	}
	for _, p := range plans {
		for key, t := range p.sets {
			if _, ok := wanted[key]; !ok {
				wanted[key] = t
			}
		}
	}
	for name := range wanted {
		if s.sets[name] == nil {
			s.sets[name] = newSet(s, name)
		}
	}
	for _, p := range plans {
		s.bind(p)
	}
	for name, t := range s.sets {
		w, ok := wanted[name]
		if !ok {
			w = wire.Set{Name: name}
		}
		t.update(w)
		if !ok && len(t.bindings) == 0 {
			t.close()
			delete(s.sets, name)
		}
	}
}

func (s *state) updateBalancers(plans []*plan) {
	wanted := map[string]bool{}
	for _, p := range plans {
		wanted[p.Name] = true
		s.balancers[p.Name].apply(p) // bind has made it
	}
	for name, b := range s.balancers {
		if !wanted[name] && s.stage != departing { // else they have all their time as it is
			b.remove(b.drainTimeout())
			delete(s.balancers, name)
		}
	}
}

// close stops accepting everywhere and lets go of all sockets. finish waits for
// what is in flight; with linger, idle connections get the time for one more request.
func (s *state) close(linger bool) (finish func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	if s.endpoint != nil {
		s.endpoint.close()
	}
	for name, b := range s.balancers {
		wait := stopLinger
		if linger {
			wait = b.drainTimeout()
		}
		b.remove(wait)
		delete(s.balancers, name)
	}
	s.dropSockets(nil)
	return s.finish
}

// finish waits for what is in flight and ends all the rest.
func (s *state) finish() {
	s.closeSets()
	s.closeLogs()
	s.background.Wait()
	s.probers.Close()
}

// closeSets ends the sets once the fronts have finished: closing a pool's members cuts what they do.
func (s *state) closeSets() {
	s.finishing.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.sets {
		t.close()
	}
}

// sweep closes connections to backends that were not used for long.
func (s *state) sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.sets {
		for _, i := range t.instances {
			i.backend.Sweep(now)
		}
	}
}

// touch says that there is something new to tell.
func (s *state) touch() { s.news.touch() }

// forbidden says whether a resolved address is Drover's own.
func (s *state) forbidden(address string) bool { return s.guard.forbids(address) }

// news lets polls wait for a change.
type news struct {
	mu       sync.Mutex
	sequence uint64
	changed  chan struct{}
}

func (n *news) touch() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sequence++
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
}

// later returns a channel that is closed once there is news after sequence; nil: there is.
func (n *news) later(sequence uint64) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sequence > sequence {
		return nil
	}
	if n.changed == nil {
		n.changed = make(chan struct{})
	}
	return n.changed
}

func (n *news) now() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sequence
}

// Facts are told at once when something of weight changed, but not more often
// than settle apart; counters and numbers in flight once a beat.
const (
	settle = 20 * time.Millisecond
	beat   = 500 * time.Millisecond
)

// wait returns when there is something to tell, at the next beat, or when quit is closed.
func (s *state) wait(after uint64, limit time.Duration, quit <-chan struct{}) {
	changed := s.news.later(after)
	if changed != nil {
		t := time.NewTimer(min(limit, beat))
		defer t.Stop()
		select {
		case <-changed:
		case <-t.C:
			return
		case <-quit:
			return
		}
	}
	t := time.NewTimer(settle)
	defer t.Stop()
	select {
	case <-t.C:
	case <-quit:
	}
}
