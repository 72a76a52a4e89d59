package control

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
)

// MetadataOptions say where the gateway serves the instances' metadata endpoint.
type MetadataOptions struct {
	// Ports are tried in turn on 127.0.0.1, unless a running gateway has one already.
	Ports iter.Seq[int]
	// LinkLocal is another address that it is served at, for callers that are known
	// by their process; empty: none.
	LinkLocal string
	// Rate is how many requests an instance may send in a second.
	Rate float64
}

// Names of the endpoint's sockets begin with these.
const (
	ownSocket       = "metadata/own@"
	linkLocalSocket = "metadata/link-local@"
)

// ServeMetadata has the gateway serve the metadata endpoint, and returns its port.
// It is to be called before Run. The socket is held as the API's is: a call that
// comes while no gateway runs waits in it, and nobody else is given the port.
func (c *Control) ServeMetadata(ctx context.Context, o MetadataOptions) (port int, err error) {
	if err := c.lookOnce(ctx); err != nil {
		return 0, err
	}
	m := &wire.Metadata{Rate: o.Rate}
	m.Socket, port, err = c.metadataSocket(ctx, o.Ports)
	if err != nil {
		return 0, fmt.Errorf("listen for the metadata endpoint: %w", err)
	}
	c.book.want(m.Socket)
	if o.LinkLocal != "" {
		m.LinkLocal = linkLocalSocket + o.LinkLocal
		if err := c.book.bind(ctx, m.LinkLocal, o.LinkLocal); err != nil {
			return 0, fmt.Errorf("listen on %s: %w", o.LinkLocal, err)
		}
		c.book.want(m.LinkLocal)
	}
	c.metadata = m
	return port, nil
}

// Holds says whether a socket of that address is held for the metadata endpoint,
// by this process or a gateway that runs.
func (c *Control) Holds(ctx context.Context, address string) (bool, error) {
	if err := c.lookOnce(ctx); err != nil {
		return false, err
	}
	return c.book.address(linkLocalSocket+address) != "", nil
}

func (c *Control) metadataSocket(ctx context.Context, ports iter.Seq[int]) (name string, port int, err error) {
	if name := c.book.named(ownSocket); name != "" {
		_, text, _ := net.SplitHostPort(c.book.address(name))
		port, err := strconv.Atoi(text)
		return name, port, err
	}
	err = errors.New("no port is left")
	for port := range ports {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if err = c.book.bind(ctx, ownSocket+address, address); err == nil || ctx.Err() != nil {
			return ownSocket + address, port, err
		}
	}
	return "", 0, err
}

// named is the first held socket whose name begins so; empty: there is none.
func (b *book) named(prefix string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(b.held)) {
		if strings.HasPrefix(name, prefix) {
			return name
		}
	}
	return ""
}

// addMetadata puts into a snapshot what its instances may ask.
func (c *Control) addMetadata(w *wire.Snapshot, d documents) {
	if c.metadata == nil || c.o.Secret == nil {
		return
	}
	w.Metadata = c.metadata
	for i := range w.Sets {
		t := &w.Sets[i]
		if set, ok := d.sets[t.Name]; ok {
			t.Tags, t.Events = set.Labels, set.Status.ScheduledEvents
		}
		for n := range t.Instances {
			in := &t.Instances[n]
			describe(in, d.instances[in.Name], c.o.Secret(in.Name))
		}
	}
}

func describe(w *wire.Instance, in resource.Instance, secret [sha256.Size]byte) {
	w.Secret, w.ID = secret[:], resource.InstanceID(in)
	w.Image, w.Placement = in.Status.Model.Image, in.Status.Placement
}
