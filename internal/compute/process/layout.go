package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/droverhq/drover/internal/resource"
)

// layout is where things are in a data folder.
type layout struct{ data string }

func (l layout) instances() string       { return filepath.Join(l.data, "instances") }
func (l layout) set(name string) string  { return filepath.Join(l.instances(), name) }
func (l layout) cache() string           { return filepath.Join(l.data, "cache") }
func (l layout) retired() string         { return filepath.Join(l.data, "retired") }
func (l layout) os(name string) string   { return filepath.Join(l.dir(name), "os") }
func (l layout) tmp(name string) string  { return filepath.Join(l.dir(name), "tmp") }
func (l layout) logs(name string) string { return filepath.Join(l.dir(name), "log") }
func (l layout) disk(name string) string { return filepath.Join(l.dir(name), dataFolder) }
func (l layout) dir(name string) string {
	set, _, _ := resource.SplitInstanceName(name)
	return filepath.Join(l.set(set), name)
}

// dataFolder is what an instance's own disk is called in its folder.
const dataFolder = "data"

// Modes: workloads pass through the outer folders without listing them; an
// instance's own folder is its user's to read, as a member of the group, and
// nobody else's.
const (
	passMode     fs.FileMode = 0o711
	instanceMode fs.FileMode = 0o750
)

// make makes the folders of an instance down to its own and its log. Each is
// made whole by one call or found again, so dying between two of them costs nothing.
func (l layout) make(name string, uid int) error {
	set, _, _ := resource.SplitInstanceName(name)
	for _, dir := range []string{l.data, l.instances(), l.set(set)} {
		if err := ensureDir(dir, passMode, 0); err != nil {
			return err
		}
	}
	if err := ensureDir(l.dir(name), instanceMode, uid); err != nil {
		return err
	}
	return ensureDir(l.logs(name), instanceMode, 0)
}

// ensureDir makes one folder with exactly this mode and group, or repairs the one that is there.
func ensureDir(dir string, mode fs.FileMode, gid int) error {
	err := os.Mkdir(dir, mode)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make folder: %w", err)
	}
	if gid != 0 {
		if err := os.Lchown(dir, 0, gid); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
	}
	if err := os.Chmod(dir, mode); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	return nil
}

// list names the instances that have a folder.
func (l layout) list() ([]string, error) {
	sets, err := readNames(l.instances())
	if err != nil {
		return nil, err
	}
	var list []string
	for _, set := range sets {
		names, err := readNames(l.set(set))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if of, _, ok := resource.SplitInstanceName(name); ok && of == set {
				list = append(list, name)
			}
		}
	}
	return list, nil
}

// readNames names the folders in dir; none when dir isn't there.
func readNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list folder: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// hasData says whether the instance's data disk holds anything.
func (l layout) hasData(name string) bool {
	f, err := os.Open(l.disk(name))
	if err != nil {
		return false
	}
	defer f.Close()
	names, err := f.Readdirnames(1)
	return err == nil && len(names) > 0
}
