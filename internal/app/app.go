package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/droverhq/drover/internal/acme"
	"github.com/droverhq/drover/internal/api"
	"github.com/droverhq/drover/internal/compute"
	"github.com/droverhq/drover/internal/compute/process"
	"github.com/droverhq/drover/internal/fleet"
	"github.com/droverhq/drover/internal/gallery"
	"github.com/droverhq/drover/internal/gateway/control"
	"github.com/droverhq/drover/internal/identity"
	"github.com/droverhq/drover/internal/identity/redact"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// App is one server.
type App struct {
	o         Options
	log       *slog.Logger
	startedAt time.Time
	root      bool

	store    *store.Store
	tokens   *identity.Tokens
	keys     *identity.Keys
	secrets  identity.InstanceSecrets
	affinity []byte
	gallery  *gallery.Registry
	gateway  *control.Control
	driver   *process.Driver
	compute  *compute.Compute
	fleet    *fleet.Fleet
	api      *api.Server

	listener net.Listener
	twin     net.Listener // the same port at the other loopback address; nil: it cannot be had
	url      string
	endpoint string // of the instances' metadata: http://127.0.0.1:PORT/

	components *group
	stopping   stack
	// stopWork ends what would start instances and the gateway again, for Down.
	stopWork []func(context.Context) error

	downOnce sync.Once
	downErr  error
	ended    chan struct{} // closed once Down or Stop is done
	endOnce  sync.Once
}

// New checks the options. It touches nothing.
func New(o Options) (*App, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &App{
		o: o, log: slog.New(redact.Handler(o.Logger.Handler())), root: os.Geteuid() == 0,
		components: newGroup(), ended: make(chan struct{}),
	}, nil
}

// Start serves. When it fails, what was started is stopped again; instances and a
// gateway that ran before go on.
func (a *App) Start(ctx context.Context) error {
	a.startedAt = time.Now()
	steps := []func(context.Context) error{
		a.openStore, a.openIdentity, a.openGallery, a.startGateway, a.startCompute, a.startFleet, a.startAPI,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
			defer cancel()
			return errors.Join(err, a.stopping.unwind(limit))
		}
	}
	return nil
}

// stopLimit bounds how long stopping may take when nobody says.
const stopLimit = 30 * time.Second

// Wait blocks until the server has ended: nil when it was told to, else the
// failure of the component that could not go on.
func (a *App) Wait() error {
	select {
	case <-a.ended:
		return nil
	case err := <-a.components.failed:
		return err
	}
}

// Stop ends the control process's part in order. Instances and the gateway go on.
func (a *App) Stop(ctx context.Context) error {
	defer a.end()
	return a.stopping.unwind(ctx)
}

func (a *App) end() { a.endOnce.Do(func() { close(a.ended) }) }

// URL is where the API answers, once started.
func (a *App) URL() string { return a.url }

// run starts a component for as long as the App runs.
func (a *App) run(name string, f func(context.Context) error) (stop func(context.Context) error) {
	stop = a.components.start(name, f)
	a.stopping.push(name, stop)
	return stop
}

func (a *App) openStore(ctx context.Context) error {
	if err := restored(a.o.Data); err != nil {
		return err
	}
	if err := makeFolders(a.o.Data, a.root); err != nil {
		return err
	}
	s, err := store.Open(ctx, store.Options{Dir: a.o.Data, Logger: a.log})
	if err != nil {
		return err
	}
	a.store = s
	a.stopping.push("store", func(context.Context) error { return s.Close() })
	if r := s.Recovery(); r != nil {
		a.log.Warn("the store was damaged", "report", r.String())
	}
	// Once more, now that nobody else can have the folder.
	if err := restored(a.o.Data); err != nil {
		return err
	}
	a.run("store", s.Run)
	return removeBackups(a.o.Data)
}

func (a *App) openIdentity(ctx context.Context) error {
	a.tokens = identity.NewTokens(a.store, a.log)
	if err := a.tokens.EnsureAdmin(ctx, filepath.Join(a.o.Data, adminTokenFile)); err != nil {
		return fmt.Errorf("the admin token: %w", err)
	}
	a.keys = identity.NewKeys(filepath.Join(a.o.Data, dirKeys), a.log)
	var err error
	if a.secrets, err = identity.LoadInstanceSecrets(a.keys); err != nil {
		return err
	}
	a.affinity, err = identity.LoadAffinityKey(a.keys)
	return err
}

const adminTokenFile = "admin.token"

func (a *App) openGallery(context.Context) error {
	g, err := gallery.New(gallery.Options{
		Dir: filepath.Join(a.o.Data, dirRegistry), Site: "local", Store: a.store,
		Guard: guard{a.tokens}, Logger: a.log,
	})
	if err != nil {
		return fmt.Errorf("open the gallery: %w", err)
	}
	a.gallery = g
	a.run("gallery", g.Run)
	return nil
}

// startGateway finds or starts the gateway. The API's socket is opened here: a
// gateway that runs already holds it, so that no workload can take its port.
func (a *App) startGateway(ctx context.Context) error {
	a.gateway = control.New(control.Options{
		Store: a.store, DataDir: a.o.Data, Version: a.o.Version, Logger: a.log, Secret: a.secrets.Hash,
		HostPaths: a.o.hostPaths(), AffinityKey: a.affinity, Ordered: a.ordered,
		Command: append(slices.Clone(a.o.Command), GatewayCommand, a.o.Data),
	})
	var err error
	if a.listener, err = a.gateway.Listener(ctx, "api", a.o.Listen); err != nil {
		return fmt.Errorf("listen for the API: %w", err)
	}
	a.stopping.push("API listener", func(context.Context) error { return ignoreClosed(a.listener.Close()) })
	a.listenTwin(ctx)
	if err := a.serveMetadata(ctx); err != nil {
		return err
	}
	a.stopWork = append(a.stopWork, a.run("gateway control", a.gateway.Run))
	a.run("gateway replacement", a.heedReplace)
	a.run("certificate orders", acme.New(acme.Options{Store: a.store, Dir: a.acmeDir(), Logger: a.log}).Run)
	return nil
}

func (a *App) startCompute(context.Context) error {
	d, err := process.New(process.Options{Data: a.o.Data, Images: a.gallery, Metadata: a.metadataURL, Logger: a.log})
	if err != nil {
		return fmt.Errorf("the process driver: %w", err)
	}
	a.driver = d
	a.stopping.push("process driver", func(context.Context) error { return d.Close() })
	a.compute = compute.New(compute.Options{
		Store: a.store, Driver: d, Probes: probes{a.gateway}, Logger: a.log,
		Ports: a.o.Ports, UIDs: a.o.UIDs,
	})
	a.gateway.OnProbe(a.compute.Wake)
	a.stopWork = append(a.stopWork, a.run("compute", a.compute.Run))
	return nil
}

func (a *App) startFleet(context.Context) error {
	a.fleet = fleet.New(fleet.Options{Store: a.store, Traffic: traffic{a.gateway}, Logger: a.log})
	a.stopWork = append(a.stopWork, a.run("fleet", func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case <-a.compute.Recovered():
			return a.fleet.Run(ctx)
		}
	}))
	return nil
}

func (a *App) startAPI(context.Context) error {
	tcp := a.listener
	t, err := a.tlsConfig()
	if err != nil {
		return err
	}
	a.url = "http://" + reachable(tcp.Addr().String())
	if t != nil {
		a.url = "https://" + reachable(tcp.Addr().String())
	}
	if a.api, err = api.New(a.apiOptions(tcp.Addr().String())); err != nil {
		return fmt.Errorf("build the API: %w", err)
	}
	local, err := listenUnix(filepath.Join(a.o.Data, dirRun, "api.sock"))
	if err != nil {
		return err
	}
	a.serve("API socket", api.NewHTTPServer(a.api, nil), local, false)
	a.serve("API", api.NewHTTPServer(a.api, t), tcp, t != nil)
	if a.twin != nil {
		a.serve("API's twin", api.NewHTTPServer(a.api, t), a.twin, t != nil)
	}
	return nil
}

// serve runs one HTTP server; stopping it lets requests in flight finish.
func (a *App) serve(name string, srv *http.Server, l net.Listener, secure bool) {
	l = api.Limit(l)
	stop := a.components.start(name, func(ctx context.Context) error {
		var err error
		if secure {
			err = srv.ServeTLS(l, "", "")
		} else {
			err = srv.Serve(l)
		}
		if errors.Is(err, http.ErrServerClosed) {
			<-ctx.Done() // Shutdown goes on until what is in flight has ended
			return nil
		}
		return err
	})
	a.stopping.push(name, func(ctx context.Context) error {
		err := srv.Shutdown(ctx)
		if err != nil {
			err = errors.Join(err, srv.Close()) // out of time: what is in flight is cut
		}
		return errors.Join(err, stop(ctx))
	})
}

func (a *App) apiOptions(address string) api.Options {
	return api.Options{
		Store: a.store, Authenticator: authenticator{a.tokens}, Tokens: tokens{a.tokens},
		Fleet: fleets{a.fleet}, Logs: a.compute, System: system{a}, Logger: a.log,
		Version: a.o.Version, Address: address,
		Writers: map[string]api.Writer{resource.KindScaleSet: scaleSets{a.store}},
		Deleters: map[string]api.Deleter{
			resource.KindScaleSet:     scaleSets{a.store},
			resource.KindInstance:     instances{a.fleet},
			resource.KindImage:        images{a.gallery.DeleteImage},
			resource.KindImageVersion: images{a.gallery.DeleteVersion},
		},
		Registry: a.gallery.Handler(), Traffic: figures{a.gateway}, HostFiles: hostFiles{a.o.hostPaths()},
	}
}
