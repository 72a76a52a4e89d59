package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"

	"github.com/droverhq/drover/internal/compute"
	"github.com/droverhq/drover/internal/compute/process"
	"github.com/droverhq/drover/internal/gateway"
	"github.com/droverhq/drover/internal/gateway/control"
	"github.com/droverhq/drover/internal/identity/imds"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// metadataHolder books the metadata endpoint's port; no instance has such a name.
const metadataHolder = "metadata"

// metadataPorts are above those of instances and below those of outgoing
// connections, so that the port is still free when everything starts again.
var metadataPorts = Range{First: 30000, Last: 32767}

// serveMetadata has the gateway serve the instances' metadata endpoint, at the port
// that it had before: programs that run know it.
func (a *App) serveMetadata(ctx context.Context) error {
	link, err := a.linkLocal(ctx)
	if err != nil {
		return err
	}
	last, booked, err := a.bookedPort(ctx)
	if err != nil {
		return err
	}
	port, err := a.gateway.ServeMetadata(ctx, control.MetadataOptions{
		Ports: metadataCandidates(last, booked), LinkLocal: link, Rate: a.o.IMDSRate,
	})
	if err != nil {
		return err
	}
	if last != 0 && port != last {
		a.log.Warn("the metadata endpoint's port is taken; instances that run find theirs at another one after their next start",
			"port", last, "now", port)
	}
	a.endpoint = "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) + "/"
	_, err = a.store.Update(store.Essential(ctx), func(tx *store.Tx) error {
		return compute.BookPort(tx, metadataHolder, port)
	})
	if err != nil {
		return fmt.Errorf("book the metadata endpoint's port: %w", err)
	}
	return nil
}

// bookedPort is the port that the endpoint had, 0 before the first start, and those
// that it cannot have.
func (a *App) bookedPort(ctx context.Context) (last int, others map[int]string, err error) {
	_, err = a.store.Update(store.Essential(ctx), func(tx *store.Tx) error {
		others, err = compute.BookedPorts(tx)
		return err
	})
	if err != nil {
		return 0, nil, fmt.Errorf("look for the metadata endpoint's port: %w", err)
	}
	for port, holder := range others {
		if holder == metadataHolder {
			last = port
		}
	}
	delete(others, last)
	return last, others, nil
}

// metadataCandidates are the last port, and then others by chance: several servers
// of one machine do not all try the same.
func metadataCandidates(last int, booked map[int]string) iter.Seq[int] {
	return func(yield func(int) bool) {
		if last != 0 && !yield(last) {
			return
		}
		for _, n := range rand.Perm(metadataPorts.Last - metadataPorts.First + 1) {
			if port := metadataPorts.First + n; booked[port] == "" && !yield(port) {
				return
			}
		}
	}
}

// metadataURL is an instance's own IMDS_ENDPOINT.
func (a *App) metadataURL(instance string) string { return a.endpoint + a.secrets.Of(instance) }

// metadataServers serve in the gateway's process what it knows.
func metadataServers(data string, log *slog.Logger) gateway.MetadataServers {
	resolve := callers(data, log)
	return func(m *gateway.Metadata, rate float64) (own, linkLocal *http.Server) {
		h := imds.New(imds.Options{Source: metadata{m}, Rate: rate, Logger: log})
		return imds.NewServer(h, log), imds.NewServer(h.LinkLocal(resolve), log)
	}
}

// metadata gives the endpoint what the gateway knows.
type metadata struct{ m *gateway.Metadata }

func (s metadata) BySecret(hash [sha256.Size]byte) (imds.Instance, bool) {
	in, ok := s.m.BySecret(hash)
	return ownFacts(in), ok
}

func (s metadata) ByName(name string) (imds.Instance, bool) {
	in, ok := s.m.ByName(name)
	return ownFacts(in), ok
}

func ownFacts(in gateway.MetadataInstance) imds.Instance {
	address, _ := netip.ParseAddrPort(in.Address) // none yet: the zero value
	return imds.Instance{
		Name: in.Name, ScaleSet: in.Set, ID: in.ID, Image: in.Image, Version: in.Version,
		Location: "local", Zone: in.Placement.Zone, FaultDomain: in.Placement.FaultDomain,
		Tags: in.Tags, Address: address.Addr(), Renewing: in.Renewing,
	}
}

func (s metadata) Document(set string) imds.Document {
	told := s.m.Events(set)
	if told == nil {
		return imds.Document{}
	}
	d := imds.Document{Incarnation: told.Incarnation}
	for _, e := range told.Events {
		d.Events = append(d.Events, imds.Event{
			ID: e.EventID, Type: imds.EventType(e.Type), Status: imds.EventStatus(e.Status), Resources: []string{e.Instance},
			NotBefore: e.NotBefore, Source: imds.User, DurationInSeconds: imds.UnknownDuration,
			Description: descriptions[e.Type],
		})
	}
	return d
}

var descriptions = map[resource.EventType]string{
	resource.EventTerminate: "The instance is to be deleted: by a scale-in, a rollout, or with its scale set.",
	resource.EventRedeploy:  "The instance is to be reimaged: it is started anew from its image, and its data folder is kept.",
}

func (s metadata) Approve(ctx context.Context, set string, events []string) error {
	err := s.m.Approve(ctx, set, events)
	if errors.Is(err, gateway.ErrUnknownEvent) {
		return imds.ErrUnknownEvent
	}
	return err
}

var _ imds.Source = metadata{}

// callers tells the instances apart that ask at the link-local address. Where it
// can't, the gateway serves all else.
func callers(data string, log *slog.Logger) imds.Resolve {
	driver := sync.OnceValues(func() (*process.Driver, error) { return process.New(process.Options{Data: data, Logger: log}) })
	return func(remote net.Addr) (name string, ok bool) {
		d, err := driver()
		if err == nil {
			name, err = d.Caller(remote)
		}
		if err != nil {
			log.Warn("who asks for metadata could not be told", "err", err)
		}
		return name, name != ""
	}
}
