package gallery

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/configuration"
	v2 "github.com/distribution/distribution/v3/registry/api/v2"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/distribution/distribution/v3/registry/storage"
	"github.com/distribution/reference"
	"github.com/gorilla/mux"
	"golang.org/x/sync/errgroup"

	"github.com/droverhq/drover/internal/store"
)

// Options of a Registry. All but Logger are required.
type Options struct {
	Dir    string // <data>/registry
	Site   string // what replication calls this place
	Store  *store.Store
	Guard  Guard
	Logger *slog.Logger
}

// Registry is the images of one place.
type Registry struct {
	options Options
	content content
	driver  *durable
	images  distribution.Namespace // the same storage as app's, for our own reads and deletions
	app     *handlers.App
	router  *mux.Router
	locks   *locks
	slots   chan struct{} // one for each request that may write at the same time
	touched *touched
}

// maxWrites bounds the requests that write at the same time; the rest wait for a while.
const maxWrites = 64

// New opens the registry in o.Dir, making it if there is none.
func New(o Options) (*Registry, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	routeLogs(o.Logger)
	driver, err := newDriver(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the registry: %w", err)
	}
	images, err := storage.NewRegistry(context.Background(), driver, storage.EnableDelete, storage.EnableValidateImageIndexImagesExist)
	if err != nil {
		return nil, fmt.Errorf("open the registry: %w", err)
	}
	app, err := newApp(driver)
	if err != nil {
		return nil, fmt.Errorf("open the registry: %w", err)
	}
	return &Registry{
		options: o,
		content: content{o.Dir, o.Logger},
		driver:  driver,
		images:  images,
		app:     app,
		router:  v2.RouterWithPrefix(""),
		locks:   newLocks(),
		slots:   make(chan struct{}, maxWrites),
		touched: newTouched(),
	}, nil
}

// newApp makes distribution's application: no listeners, caches, notifications,
// metrics or goroutines of its own.
func newApp(driver *durable) (app *handlers.App, err error) {
	defer func() { // it panics over its configuration
		if p := recover(); p != nil {
			err = fmt.Errorf("configure distribution: %v", p)
		}
	}()
	c := &configuration.Configuration{Storage: configuration.Storage{
		driverName: {driverParam: driver},
		"delete":   {"enabled": true},
		"redirect": {"disable": true},
		"maintenance": {"uploadpurging": map[any]any{
			"enabled": false, // purge does it, on a goroutine that somebody waits for
		}},
	}}
	// An upload's state goes through the client, signed. After a restart a client
	// starts its unfinished blobs anew.
	c.HTTP.Secret = rand.Text()
	c.HTTP.RelativeURLs = true // whatever name or socket the client came by
	return handlers.NewApp(context.Background(), c), nil
}

// repository returns one image's tags and manifests.
func (g *Registry) repository(ctx context.Context, image string) (distribution.Repository, error) {
	named, err := reference.WithName(image)
	if err != nil {
		return nil, fmt.Errorf("repository %q: %w", image, err)
	}
	return g.images.Repository(ctx, named)
}

const (
	purgeEvery = time.Hour
	uploadLife = 24 * time.Hour // since its last byte
)

// Run keeps documents and registry in agreement and removes abandoned uploads
// until ctx ends.
func (g *Registry) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return g.loop().Run(ctx) })
	group.Go(func() error { return g.purgeUploads(ctx) })
	return group.Wait()
}

func (g *Registry) purgeUploads(ctx context.Context) error {
	tick := time.NewTicker(purgeEvery)
	defer tick.Stop()
	for {
		if err := g.purge(ctx, time.Now().Add(-uploadLife)); err != nil && !errors.Is(err, context.Canceled) {
			g.options.Logger.Error("remove abandoned uploads", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
