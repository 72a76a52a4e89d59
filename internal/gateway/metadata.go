package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
)

// MetadataServers makes the servers of the instances' metadata endpoint: at a port
// of Drover's own, where the path says who asks, and at the link-local address,
// where the connection does. rate is what an instance may ask in a second, over both.
type MetadataServers func(m *Metadata, rate float64) (own, linkLocal *http.Server)

// ErrUnknownEvent is the error of approving what the snapshot does not have.
var ErrUnknownEvent = errors.New("there is no such scheduled event")

const (
	// maxMetadataConns is more than the instances of a machine need.
	maxMetadataConns = 4096
	// metadataEnd is how long a stopping gateway waits for answers to be finished.
	metadataEnd = 2 * time.Second
)

// Metadata is what the last snapshot says to the instances. It is replaced whole.
type Metadata struct {
	approvals *approvals
	told      func() // that there is an approval
	view      atomic.Pointer[metadataView]
}

type metadataView struct {
	bySecret map[[sha256.Size]byte]MetadataInstance
	byName   map[string]MetadataInstance
	events   map[string]*resource.ScheduledEvents // by set
}

// MetadataInstance is one that may ask.
type MetadataInstance struct {
	wire.Instance
	Set  string
	Tags map[string]string
}

// BySecret finds the instance whose secret has this SHA-256.
func (m *Metadata) BySecret(hash [sha256.Size]byte) (MetadataInstance, bool) {
	in, ok := m.view.Load().bySecret[hash]
	return in, ok
}

// ByName finds an instance by its name.
func (m *Metadata) ByName(name string) (MetadataInstance, bool) {
	in, ok := m.view.Load().byName[name]
	return in, ok
}

// Events are what a set's instances are told; nil: nothing ever.
func (m *Metadata) Events(set string) *resource.ScheduledEvents { return m.view.Load().events[set] }

// Approve returns once the approval of these events is on disk, where it outlives
// this gateway and every control process. It is all or none.
func (m *Metadata) Approve(_ context.Context, set string, events []string) error {
	known := m.Events(set)
	for _, id := range events {
		if known == nil || !slices.ContainsFunc(known.Events, func(e resource.ScheduledEvent) bool { return e.EventID == id }) {
			return ErrUnknownEvent
		}
	}
	if err := m.approvals.add(events, time.Now().UTC()); err != nil {
		return err
	}
	m.told()
	return nil
}

func (m *Metadata) update(w wire.Snapshot) {
	v := &metadataView{
		bySecret: map[[sha256.Size]byte]MetadataInstance{}, byName: map[string]MetadataInstance{}, events: map[string]*resource.ScheduledEvents{},
	}
	open := map[string]bool{}
	for _, t := range w.Sets {
		v.events[t.Name] = t.Events
		for _, i := range t.Instances {
			in := MetadataInstance{Instance: i, Set: t.Name, Tags: t.Tags}
			v.byName[i.Name] = in
			if len(i.Secret) == sha256.Size {
				v.bySecret[[sha256.Size]byte(i.Secret)] = in
			}
		}
		if t.Events == nil {
			continue
		}
		for _, e := range t.Events.Events {
			open[e.EventID] = e.Status == resource.EventScheduled
		}
	}
	m.view.Store(v)
	m.approvals.retain(open)
}

// endpoint serves the metadata on the sockets that the snapshot names.
type endpoint struct {
	*Metadata
	servers MetadataServers
	logger  *slog.Logger

	config  wire.Metadata
	open    map[*socket]*http.Server
	serving sync.WaitGroup
}

func newEndpoint(a *approvals, servers MetadataServers, told func(), logger *slog.Logger) *endpoint {
	e := &endpoint{
		Metadata: &Metadata{approvals: a, told: told}, servers: servers, logger: logger, open: map[*socket]*http.Server{},
	}
	e.view.Store(&metadataView{})
	return e
}

// apply takes a snapshot in and listens where it says. It is called with the state's lock held.
func (e *endpoint) apply(w wire.Snapshot, sockets map[string]*socket) {
	e.update(w)
	var config wire.Metadata
	if w.Metadata != nil && e.servers != nil {
		config = *w.Metadata
	}
	changed := e.config != config
	for s := range e.open {
		if changed || sockets[s.Name] != s {
			e.stop(s)
		}
	}
	e.config = config
	if len(e.open) > 0 || config.Socket == "" {
		return
	}
	own, linkLocal := e.servers(e.Metadata, config.Rate)
	e.listen(sockets[config.Socket], own)
	if config.LinkLocal != "" {
		e.listen(sockets[config.LinkLocal], linkLocal)
	}
}

func (e *endpoint) listen(s *socket, server *http.Server) {
	if s == nil {
		return // the control process names it once it has it
	}
	l, err := net.FileListener(s.file)
	if err != nil {
		e.logger.Error("The metadata endpoint cannot be served", "address", s.Address, "error", err)
		return
	}
	server.SetKeepAlivesEnabled(false) // a connection that waits could not be given to another gateway
	e.open[s] = server
	e.serving.Go(func() {
		if err := server.Serve(netutil.LimitListener(l, maxMetadataConns)); !errors.Is(err, http.ErrServerClosed) {
			e.logger.Error("The metadata endpoint is not served any more", "address", s.Address, "error", err)
		}
	})
}

// stop lets answers be finished; the socket stays, and what comes meanwhile waits in it.
func (e *endpoint) stop(s *socket) {
	finish(e.open[s])
	delete(e.open, s)
}

func finish(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), metadataEnd)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		_ = server.Close()
	}
}

// close ends serving; from then on nothing is approved.
func (e *endpoint) close() {
	servers := slices.Collect(maps.Values(e.open))
	for _, s := range slices.Collect(maps.Keys(e.open)) {
		e.stop(s)
	}
	e.serving.Wait()
	for _, server := range servers {
		finish(server) // who was accepted in that very moment
	}
	e.approvals.close()
}
