package control

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// ErrSuperseded is the error of Run when another control process took the gateway over.
var ErrSuperseded = wire.ErrSuperseded

// errStopped ends Run when Stop was called.
var errStopped = errors.New("the gateway was stopped")

// Options say where the gateway lives and how it is started.
type Options struct {
	Store *store.Store
	// DataDir is Drover's data folder; the private socket is in its run/, which exists.
	DataDir string
	// Command is the program, by its absolute path, and the arguments that become
	// the gateway: it must call gateway.Run with the same run folder. With "standby"
	// behind them it becomes one that stands by.
	Command []string
	// Version is this program's, for the log.
	Version string
	// Secret is the SHA-256 of what opens the metadata endpoint to an instance; nil:
	// none is opened.
	Secret func(instance string) [sha256.Size]byte
	// Ordered says where what is ordered for a name from a directory is, or will be;
	// nil: nothing is ordered.
	Ordered func(directory, name string) wire.Ordered
	// AffinityKey is what clients' affinity to instances is made of; nil: there is none.
	AffinityKey []byte
	// HostPaths says which files documents may name.
	HostPaths resource.HostPaths
	Logger    *slog.Logger
}

// Control is the control process's end of the gateway. New is inert.
type Control struct {
	*answers
	o      Options
	runDir string
	view   *view
	book   *book
	gone   map[int]bool // children not yet reaped, by number; supervise's own
	// replace asks for another gateway process; it holds one signal.
	replace chan struct{}
	// stopping: the gateway is being ended on purpose, and not started again.
	stopping atomic.Bool

	metadata *wire.Metadata // where and how it is served; set before Run

	mu      sync.Mutex
	waiting *link // attached by Listener, for Run
	looked  bool  // Listener has looked for a gateway
}

// New makes a Control; Run starts it.
func New(o Options) *Control {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Control{
		answers: newAnswers(),
		o:       o,
		runDir:  filepath.Join(o.DataDir, "run"),
		view:    newView(),
		book:    newBook(),
		gone:    map[int]bool{},
		replace: make(chan struct{}, 1),
	}
}

// Run keeps a gateway running and told until ctx ends. The gateway serves on.
func (c *Control) Run(ctx context.Context) error {
	defer c.close()
	if c.o.Store == nil {
		return errors.New("the gateway's control needs a store")
	}
	parent := ctx
	g, ctx := errgroup.WithContext(parent)
	g.Go(func() error { return c.view.follow(ctx, c.o.Store) })
	g.Go(func() error { return c.supervise(ctx) })
	g.Go(func() error { return c.reportCertificates(ctx) })
	err := g.Wait()
	if parent.Err() != nil || errors.Is(err, errStopped) {
		return nil
	}
	return err
}

func (c *Control) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting != nil {
		c.waiting.close()
		c.waiting = nil
	}
	c.disconnect()
	c.book.close()
}

// Listener returns the listening socket of that name and address: the one that a
// running gateway keeps from an earlier control process, else a new one, which
// the gateway will keep. It is to be called before Run.
func (c *Control) Listener(ctx context.Context, name, address string) (net.Listener, error) {
	if err := c.lookOnce(ctx); err != nil {
		return nil, err
	}
	key := socketName("listener", name, address)
	c.book.want(key)
	if err := c.book.bind(ctx, key, address); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return c.book.listener(key)
}

// lookOnce attaches to a gateway that runs already, if there is one.
func (c *Control) lookOnce(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.looked {
		return nil
	}
	l, err := c.adopt(ctx, wire.Serving)
	if err != nil {
		return err
	}
	c.waiting, c.looked = l, true
	return nil
}

// Stop ends the gateway in order and returns when it is gone. Run, if it runs,
// ends too. When ctx ends first, the gateway is killed.
func (c *Control) Stop(ctx context.Context) error {
	c.stopping.Store(true)
	err := StopGateway(ctx, c.o.DataDir)
	c.book.close() // now nobody has its sockets any more
	return err
}
