package process

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"golang.org/x/sys/unix"
)

// cgroups are the control groups of one data folder's instances. Each mounted
// hierarchy, of version 1 or 2, gets a group named after the data folder with
// one group an instance in it, at the top: an instance must outlive whatever
// service or session Drover itself was started in.
//
// Plain writes to the few files needed serve both versions at once, which
// machines with a hybrid layout want; a library would have to be used twice.
type cgroups struct {
	home    string // the data folder's name within a hierarchy
	mounts  []cgroupMount
	prepare func() (*cgroupSet, error)
}

type cgroupMount struct {
	path        string
	unified     bool     // version 2
	controllers []string // version 1: those of this hierarchy
}

// cgroupSet is what turned out to be usable.
type cgroupSet struct {
	track  string            // the data folder's group in the hierarchy that tells the members
	limits map[string]string // controller → the data folder's group where it works
}

// controllers that Drover uses.
var controllers = [...]string{"pids", "memory", "cpu"}

// findCgroups looks for hierarchies; nothing is made before the first instance.
func findCgroups(home string) *cgroups {
	c := &cgroups{home: home}
	if text, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		c.mounts = parseCgroupMounts(string(text))
	}
	c.prepare = sync.OnceValues(c.setUp)
	return c
}

// parseCgroupMounts finds the hierarchies in /proc/self/mountinfo:
// "36 25 0:31 / /sys/fs/cgroup/pids rw,… shared:9 - cgroup cgroup rw,pids".
func parseCgroupMounts(text string) []cgroupMount {
	var list []cgroupMount
	for line := range strings.Lines(text) {
		left, right, found := strings.Cut(line, " - ")
		where, what := strings.Fields(left), strings.Fields(right)
		if !found || len(where) < 5 || len(what) < 3 {
			continue
		}
		switch what[0] {
		case "cgroup2":
			list = append(list, cgroupMount{path: where[4], unified: true})
		case "cgroup":
			list = append(list, cgroupMount{path: where[4], controllers: strings.Split(what[2], ",")})
		}
	}
	return list
}

// setUp makes the data folder's groups. What can't be written is left out: the
// limits that need it are refused then, with the error as the reason.
func (c *cgroups) setUp() (*cgroupSet, error) {
	set := &cgroupSet{limits: map[string]string{}}
	errs := []error{errors.New("no cgroup file system is mounted")}
	for _, m := range c.mounts {
		if !m.unified && !slices.ContainsFunc(controllers[:], func(name string) bool { return slices.Contains(m.controllers, name) }) {
			continue
		}
		dir := filepath.Join(m.path, c.home)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			errs = append(errs, err)
			continue
		}
		for _, name := range m.usable(dir) {
			set.limits[name] = dir
		}
		if m.unified {
			set.track = dir
		}
	}
	// One group fewer to join: that costs a start some milliseconds each.
	set.track = cmp.Or(set.limits["pids"], set.track)
	if set.track == "" {
		return set, errors.Join(errs[min(1, len(errs)-1):]...)
	}
	return set, nil
}

// usable are the controllers that groups below dir can use.
func (m cgroupMount) usable(dir string) []string {
	var list []string
	for _, name := range controllers {
		if !m.unified {
			if slices.Contains(m.controllers, name) {
				list = append(list, name)
			}
			continue
		}
		// Handed down one level at a time; refused where processes of others stand in the way.
		if writeFile(filepath.Join(m.path, "cgroup.subtree_control"), "+"+name) == nil &&
			writeFile(filepath.Join(dir, "cgroup.subtree_control"), "+"+name) == nil {
			list = append(list, name)
		}
	}
	return list
}

// limit is one value in one file of one controller.
type limit struct{ controller, unified, v1, value string }

// join makes the instance's groups with its limits and returns the files that a
// process writes itself into, to be in them. Without a cgroup that counts
// processes, counted is false: the caller limits them otherwise.
func (c *cgroups) join(name string, r resource.Resources) (files []string, counted bool, err error) {
	set, why := c.prepare()
	if r.CPU != nil && set.limits["cpu"] == "" || r.Memory != nil && set.limits["memory"] == "" {
		return nil, false, fmt.Errorf("cpu and memory can be limited only where Drover may write cgroups: %w",
			cmp.Or(why, errors.New("the controllers are not there")))
	}
	groups := map[string]bool{}
	if set.track != "" {
		groups[filepath.Join(set.track, name)] = true
	}
	var limits []limit
	for _, l := range limitsOf(r) {
		if dir := set.limits[l.controller]; dir != "" {
			groups[filepath.Join(dir, name)] = true
			limits = append(limits, l)
		}
	}
	for dir := range groups {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, false, fmt.Errorf("make the cgroup of %s: %w", name, err)
		}
		files = append(files, filepath.Join(dir, "cgroup.procs"))
	}
	for _, l := range limits {
		if err := set.write(name, l); err != nil {
			return nil, false, err
		}
	}
	slices.Sort(files)
	return files, set.limits["pids"] != "", nil
}

func limitsOf(r resource.Resources) []limit {
	const period = 100_000 // µs
	list := []limit{{"pids", "pids.max", "pids.max", strconv.Itoa(*r.PIDs)}}
	if r.Memory != nil {
		n := strconv.FormatInt(int64(*r.Memory), 10)
		list = append(list, limit{"memory", "memory.max", "memory.limit_in_bytes", n})
	}
	if r.CPU != nil {
		quota := strconv.Itoa(max(1000, int(*r.CPU*period)))
		list = append(list, limit{"cpu", "cpu.max", "cpu.cfs_quota_us", quota})
	}
	return list
}

func (s *cgroupSet) write(name string, l limit) error {
	dir := filepath.Join(s.limits[l.controller], name)
	// Only one of the two files exists, according to the hierarchy's version.
	file := filepath.Join(dir, l.unified)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		file = filepath.Join(dir, l.v1)
	}
	if err := writeFile(file, l.value); err != nil {
		return fmt.Errorf("limit %s of %s: %w", l.controller, name, err)
	}
	return nil
}

// members are the processes in the instance's group; ok: it has one.
func (c *cgroups) members(name string) (pids []int, ok bool, err error) {
	var text []byte
	for _, m := range c.mounts {
		if !m.tracks() || ok && !m.unified {
			continue
		}
		t, err := os.ReadFile(filepath.Join(m.path, c.home, name, "cgroup.procs"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			continue
		}
		if err != nil {
			return nil, false, fmt.Errorf("list the processes of %s: %w", name, err)
		}
		text, ok = t, true
	}
	for word := range strings.FieldsSeq(string(text)) {
		if pid, err := strconv.Atoi(word); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids, ok, nil
}

// tracks reports whether every instance has a group in this hierarchy.
func (m cgroupMount) tracks() bool { return m.unified || slices.Contains(m.controllers, "pids") }

// noForks keeps the members from multiplying while they are killed.
func (c *cgroups) noForks(name string) {
	for _, m := range c.mounts {
		if m.tracks() {
			// Best effort: without it killing takes a few more rounds.
			_ = writeFile(filepath.Join(m.path, c.home, name, "pids.max"), "0")
		}
	}
}

// remove removes the instance's groups. A group whose last process has only
// just died is still busy for a moment.
func (c *cgroups) remove(name string) error {
	var errs []error
	for _, m := range c.mounts {
		dir := filepath.Join(m.path, c.home, name)
		err := unix.Rmdir(dir)
		for wait := time.Millisecond; errors.Is(err, unix.EBUSY) && wait < 100*time.Millisecond; wait *= 2 {
			time.Sleep(wait)
			err = unix.Rmdir(dir)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove cgroup %s: %w", dir, err))
		}
	}
	return errors.Join(errs...)
}

// close removes what no process is in any more: the kernel refuses the rest. A
// group that is missed is made again by the next start.
func (c *cgroups) close() {
	names := c.names("")
	for _, m := range c.mounts {
		for _, name := range names {
			_ = unix.Rmdir(filepath.Join(m.path, c.home, name))
		}
		_ = unix.Rmdir(filepath.Join(m.path, c.home))
	}
}

// names are the instances that have a group; with only, that one if it has.
func (c *cgroups) names(only string) []string {
	found := map[string]bool{}
	for _, m := range c.mounts {
		entries, err := os.ReadDir(filepath.Join(m.path, c.home))
		if err != nil {
			continue
		}
		for _, e := range entries {
			if e.IsDir() && (only == "" || only == e.Name()) {
				found[e.Name()] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}
