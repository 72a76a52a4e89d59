package process

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/droverhq/drover/internal/compute"
	"github.com/droverhq/drover/internal/compute/disk"
	"github.com/droverhq/drover/internal/compute/logfile"
	"github.com/droverhq/drover/internal/resource"
	"golang.org/x/sync/errgroup"
)

// Options of a Driver. Only Data is required.
type Options struct {
	Data   string      // the data folder
	Images disk.Images // nil: nothing can be started, the rest works
	// Metadata is an instance's own IMDS_ENDPOINT; nil: there is none. It is a secret,
	// so it is kept nowhere but in the environment of the program.
	Metadata func(instance string) string
	Logger   *slog.Logger
	// OnStep, for the contract test, is called at each step of a start.
	OnStep func(Step)
}

// Driver runs instances as processes of this machine.
type Driver struct {
	layout
	log     *slog.Logger
	step    func(Step)
	imds    func(instance string) string
	program string // this binary
	boot    string
	disks   *disk.Store
	keeper  *logfile.Keeper
	groups  *cgroups

	lockTimeout time.Duration

	// ctx ends the watchers.
	ctx      context.Context
	cancel   context.CancelFunc
	watchers sync.WaitGroup
	exits    chan string

	mu      sync.Mutex
	watched map[string]identity // by instance
	endings map[string]ending
}

var _ compute.Driver = (*Driver)(nil)

// New makes a driver for a data folder. It starts nothing.
func New(o Options) (*Driver, error) {
	data, err := filepath.Abs(o.Data)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	// One name for one folder: cgroups and marked processes are found by it.
	if real, err := filepath.EvalSymlinks(data); err == nil {
		data = real
	}
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	program, err := executable()
	if err != nil {
		return nil, fmt.Errorf("find drover's own binary: %w", err)
	}
	d := &Driver{
		layout: layout{data}, log: o.Logger, step: o.OnStep, imds: o.Metadata, program: program, boot: boot,
		groups: findCgroups(homeGroup(data)), exits: make(chan string),
		watched: map[string]identity{}, endings: map[string]ending{}, lockTimeout: lockTimeout,
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.step == nil {
		d.step = func(Step) {}
	}
	d.disks, err = disk.New(disk.Options{
		CacheDir: d.cache(), RetiredDir: d.retired(), Images: o.Images, Root: os.Geteuid() == 0, Logger: d.log,
	})
	if err != nil {
		return nil, err
	}
	d.keeper = logfile.New(logfile.Options{Dirs: d.logDirs, Logger: d.log})
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d, nil
}

// homeGroup names the cgroup of a data folder: one machine may have several.
func homeGroup(data string) string {
	sum := sha256.Sum256([]byte(data))
	return "drover-" + hex.EncodeToString(sum[:6])
}

// Run keeps house until ctx ends: it rotates logs and removes data whose time has come.
func (d *Driver) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.keeper.Run(ctx) })
	g.Go(func() error { return d.sweep(ctx) })
	return g.Wait()
}

const sweepInterval = time.Minute

func (d *Driver) sweep(ctx context.Context) error {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		if err := d.disks.Sweep(ctx, time.Now()); err != nil && ctx.Err() == nil {
			d.log.Warn("removing what is no longer needed", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Inspect implements compute.Driver.
func (d *Driver) Inspect(_ context.Context, name string) (compute.State, error) {
	state := compute.State{Name: name}
	if _, err := os.Stat(d.dir(name)); err == nil {
		state.Exists = true
	} else if !errors.Is(err, fs.ErrNotExist) {
		return state, fmt.Errorf("look at %s: %w", name, err)
	}
	rec, err := readRecord(d.dir(name))
	switch {
	case errors.Is(err, errDamaged):
		state.Damaged = err.Error()
	case err != nil:
		return state, err
	case rec != nil:
		d.describe(&state, rec)
	}
	if state.Running {
		d.watch(name, rec.identity)
		return state, nil
	}
	if !state.Exists && len(d.groups.names(name)) == 0 {
		return state, nil
	}
	uid := 0
	if rec != nil {
		uid = rec.Spec.UID
	}
	left, err := d.tree(name, rec, uid).members()
	state.Leftover = len(left) > 0
	return state, err
}

// describe fills in what the record says.
func (d *Driver) describe(state *compute.State, rec *record) {
	state.Spec, state.StartedAt, state.Ignored, state.Dropped = &rec.Spec, rec.StartedAt, rec.Ignored, rec.Dropped
	state.HasData = d.hasData(state.Name)
	if rec.alive(d.boot) {
		state.Running, state.PID, state.Age = true, rec.PID, age(rec.Start)
		return
	}
	switch {
	case rec.Failure != "":
		state.Failure = &compute.StartError{Reason: rec.Reason, Err: errors.New(rec.Failure)}
	case rec.Stopped || rec.Boot != d.boot:
	default:
		exit := d.exitOf(state.Name, rec.identity)
		state.Exit = &exit
	}
}

// exitOf tells how a process ended: as it was seen, or else that nobody saw it.
func (d *Driver) exitOf(name string, id identity) resource.Exit {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, ok := d.endings[name]; ok && e.id == id {
		return e.exit
	}
	e := ending{id, reap(id)}
	d.endings[name] = e
	return e.exit
}

// List implements compute.Driver.
func (d *Driver) List(ctx context.Context) ([]compute.State, error) {
	names, err := d.list()
	if err != nil {
		return nil, err
	}
	// A group without a folder: somebody removed the folder of a running instance.
	names = append(names, d.groups.names("")...)
	slices.Sort(names)
	var list []compute.State
	for _, name := range slices.Compact(names) {
		state, err := d.Inspect(ctx, name)
		if err != nil {
			return nil, err
		}
		list = append(list, state)
	}
	return list, nil
}

// tree is the instance's, by what its record says of it.
func (d *Driver) tree(name string, rec *record, uid int) tree {
	t := tree{name: name, uid: uid, marker: dataVariable + d.disk(name), groups: d.groups}
	if rec != nil && rec.Boot == d.boot {
		t.leader = rec.identity
	}
	return t
}

// TakenUIDs implements compute.Driver.
func (d *Driver) TakenUIDs() (map[int]string, error) {
	taken := map[int]string{}
	names, err := d.list()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if uid := ownerOf(d.disk(name)); uid > 0 {
			taken[uid] = name
		}
	}
	// By their owners, not by their records: one that is damaged counts too.
	kept, err := readNames(d.retired())
	if err != nil {
		return nil, err
	}
	for _, name := range kept {
		if uid := ownerOf(filepath.Join(d.retired(), name)); uid > 0 {
			taken[uid] = name + " (retired)"
		}
	}
	return taken, d.addStrangers(taken)
}

// addStrangers adds the users of processes that are nobody's here: of another
// Drover's instances, perhaps.
func (d *Driver) addStrangers(taken map[int]string) error {
	running, err := runningUIDs()
	for uid := range running {
		if uid > 0 && taken[uid] == "" {
			taken[uid] = "a process of another"
		}
	}
	return err
}

// OwnsPort implements compute.Driver.
func (d *Driver) OwnsPort(_ context.Context, name string) (compute.Ownership, error) {
	rec, err := readRecord(d.dir(name))
	if err != nil || rec == nil {
		return compute.OwnerUnknown, err
	}
	members, err := d.tree(name, rec, rec.Spec.UID).members()
	if err != nil {
		return compute.OwnerUnknown, err
	}
	return owner(rec.Spec.Port, members)
}

// Collect implements compute.Driver.
func (d *Driver) Collect(ctx context.Context, digests []string) error {
	return d.disks.Collect(ctx, digests)
}

// Logs writes the last lines of an instance's output, all with tail < 0, and
// with follow every line to come until ctx ends.
func (d *Driver) Logs(ctx context.Context, name string, tail int, follow bool, w io.Writer) error {
	if follow {
		return d.keeper.Follow(ctx, d.logs(name), tail, w)
	}
	return d.keeper.Tail(ctx, d.logs(name), tail, w)
}

func (d *Driver) logDirs() ([]string, error) {
	names, err := d.list()
	for i, name := range names {
		names[i] = d.logs(name)
	}
	return names, err
}
