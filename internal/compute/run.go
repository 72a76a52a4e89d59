package compute

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/droverhq/drover/internal/reconcile"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
	"golang.org/x/sync/errgroup"
)

// Range is a range of numbers, both ends included.
type Range struct{ First, Last int }

// Options of a Compute. Store, Driver and Probes are required.
type Options struct {
	Store  *store.Store
	Driver Driver
	Probes Probes
	// Ports are given to instances, 20000-29999 unless set.
	Ports Range
	// UIDs, as root, are the instances' users: 2000000-2065535 unless set.
	UIDs   Range
	Logger *slog.Logger
}

// Compute makes the Instance documents true and reports what it finds.
type Compute struct {
	o      Options
	loop   *reconcile.Loop
	root   bool
	began  time.Time
	starts chan struct{} // held while disks are made and a process is started
	// recovered is closed once everything that is there has its document.
	recovered chan struct{}

	mu   sync.Mutex
	sets map[string]int64 // the generation of each set that its instances were looked at for
}

// workers bounds how many instances are looked after at once. Stopping one takes
// up to its stopTimeout, an hour at most, and must not keep another set's waiting
// that crashed: there are as many as a machine may well have instances. Starting
// one takes the machine, so starts are bounded by its processors.
const workers = 4096

// New makes a Compute; Run runs it.
func New(o Options) *Compute {
	if o.Ports == (Range{}) {
		o.Ports = Range{20000, 29999}
	}
	if o.UIDs == (Range{}) {
		o.UIDs = Range{2_000_000, 2_065_535}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Compute{
		o: o, root: os.Geteuid() == 0, began: time.Now(),
		starts: make(chan struct{}, 2*runtime.NumCPU()), recovered: make(chan struct{}), sets: map[string]int64{},
	}
	c.loop = &reconcile.Loop{
		Name: "compute", Store: o.Store, Kinds: []string{resource.KindInstance, resource.KindScaleSet},
		Keys: c.keys, List: c.list, Reconcile: c.reconcile, Workers: workers, Logger: o.Logger,
	}
	return c
}

// now is the time by a clock that goes on evenly when the machine's is set.
func (c *Compute) now() time.Time { return c.began.Add(time.Since(c.began)).UTC() }

// Run adopts what is there and then looks after it until ctx ends. Instances live on.
func (c *Compute) Run(ctx context.Context) error {
	if !c.root {
		c.o.Logger.Warn("not running as root: all instances run as this user and are not kept apart from each other or from Drover")
	}
	if err := c.recover(ctx); err != nil {
		return fmt.Errorf("find the instances that are there: %w", err)
	}
	close(c.recovered)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.loop.Run(ctx) })
	g.Go(func() error { return c.o.Driver.Run(ctx) })
	g.Go(func() error { return c.wakeOnExit(ctx) })
	g.Go(func() error { return c.collect(ctx) })
	return g.Wait()
}

// Recovered is closed once every instance that was found has its document. Before
// that, nobody should make new ones: they might get the name of one that runs.
func (c *Compute) Recovered() <-chan struct{} { return c.recovered }

// Wake has an instance looked at again: its probe's result has changed.
func (c *Compute) Wake(instance string) { c.loop.Wake(instance) }

// Logs writes an instance's output; see Driver.Logs.
func (c *Compute) Logs(ctx context.Context, instance string, tail int, follow bool, w io.Writer) error {
	return c.o.Driver.Logs(ctx, instance, tail, follow, w)
}

func (c *Compute) wakeOnExit(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case name := <-c.o.Driver.Exits():
			c.loop.Wake(name)
		}
	}
}

// setKey marks the key of a set that was deleted; no instance's name has a slash.
const setKey = "set/"

func (c *Compute) keys(ctx context.Context, change store.Change) []string {
	d := change.Document
	switch {
	case d.Kind == resource.KindInstance:
		return []string{d.Name}
	case change.Deleted:
		c.forgetSet(d.Name)
		return []string{setKey + d.Name}
	case !c.newSpec(d):
		return nil
	}
	list, err := c.o.Store.List(ctx, resource.KindInstance, store.ListOptions{Owner: d.Name})
	if err != nil {
		return nil // the resync has them all
	}
	return names(list.Items)
}

// newSpec reports whether a set's spec may differ from when it was last asked;
// its status changes all the time.
func (c *Compute) newSpec(set resource.Document) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := c.sets[set.Name] != set.Generation
	c.sets[set.Name] = set.Generation
	return changed
}

func (c *Compute) forgetSet(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sets, name)
}

func (c *Compute) list(ctx context.Context) ([]string, error) {
	list, err := c.o.Store.List(ctx, resource.KindInstance, store.ListOptions{})
	return names(list.Items), err
}

func names(docs []resource.Document) []string {
	list := make([]string, len(docs))
	for i, d := range docs {
		list[i] = d.Name
	}
	return list
}

// maxSteps bounds the decisions of one turn; an instance needs four at most.
const maxSteps = 8

// reconcile takes one instance as far as it can be taken now.
func (c *Compute) reconcile(ctx context.Context, key string) (time.Duration, error) {
	if set, ok := strings.CutPrefix(key, setKey); ok {
		return 0, c.o.Driver.Discard(ctx, set)
	}
	for range maxSteps {
		in, set, err := c.read(ctx, key)
		if errors.Is(err, store.ErrNotFound) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		v, err := c.observe(ctx, in, set)
		if err != nil {
			return 0, err
		}
		d := decide(v)
		if err := c.write(ctx, key, v.Status, d.Status); err != nil {
			return 0, err
		}
		if d.Action == actNothing {
			return d.Again, nil
		}
		if err := c.act(ctx, d.Action, in, set, v.State); err != nil {
			return 0, err
		}
	}
	return 100 * time.Millisecond, nil
}

// read returns the instance and its set's spec: the defaults, when the set is gone.
func (c *Compute) read(ctx context.Context, name string) (resource.Instance, resource.ScaleSetSpec, error) {
	in, err := store.GetAs[resource.InstanceSpec, resource.InstanceStatus](ctx, c.o.Store, resource.KindInstance, name)
	if err != nil {
		return in, resource.ScaleSetSpec{}, err
	}
	set, err := store.GetAs[resource.ScaleSetSpec, resource.ScaleSetStatus](ctx, c.o.Store, resource.KindScaleSet, in.Status.Set)
	if errors.Is(err, store.ErrNotFound) {
		return in, resource.DefaultScaleSetSpec(), nil
	}
	return in, set.Spec, err
}

// observe adds what is there to what is stored.
func (c *Compute) observe(ctx context.Context, in resource.Instance, set resource.ScaleSetSpec) (view, error) {
	v := view{Status: in.Status, Check: set.Health}
	var err error
	if v.State, err = c.o.Driver.Inspect(ctx, in.Name); err != nil {
		return v, err
	}
	v.Now = c.now()
	if p, ok := c.o.Probes.Probe(in.Name); ok {
		v.Probe = &p
	}
	switch {
	case v.State.Running && in.Status.Health != resource.HealthHealthy && v.probe() != nil && v.probe().Successes > 0:
		v.Foreign, err = c.foreign(ctx, in.Name)
	case !v.State.Running && v.State.Exit != nil && !v.State.Leftover && in.Status.PID != 0:
		v.PortTaken, err = c.o.Driver.PortInUse(v.State.Spec.Port)
	}
	return v, err
}

// foreign reports whether it is another's socket that answers on the instance's
// port. Where the system doesn't tell, the answer is taken for the instance's.
func (c *Compute) foreign(ctx context.Context, name string) (bool, error) {
	owner, err := c.o.Driver.OwnsPort(ctx, name)
	return owner == OwnerOther, err
}

// write puts compute's own fields into the document, if any of them changed.
func (c *Compute) write(ctx context.Context, name string, old, status resource.InstanceStatus) error {
	if same(old, status) {
		return nil
	}
	_, err := c.o.Store.Update(store.Essential(ctx), func(tx *store.Tx) error {
		return store.Edit(tx, resource.KindInstance, name, func(in *resource.Instance) error {
			report(&in.Status, status)
			return nil
		})
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("report on %s: %w", name, err)
	}
	return nil
}

// report copies the fields that are compute's to write.
func report(to *resource.InstanceStatus, s resource.InstanceStatus) {
	to.Phase, to.Health, to.HealthySince = s.Phase, s.Health, s.HealthySince
	to.Address, to.PID, to.StartedAt = s.Address, s.PID, s.StartedAt
	to.Restarts, to.Crashes, to.LastExit = s.Restarts, s.Crashes, s.LastExit
	to.Reimaged, to.Restarted, to.NextStart, to.GraceSince = s.Reimaged, s.Restarted, s.NextStart, s.GraceSince
	to.HasData = s.HasData
	to.Conditions = s.Conditions
}
