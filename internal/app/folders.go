package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The folders below the data folder. Workloads pass through the first two on
// their way to their own disks and can read neither.
const (
	dirInstances = "instances"
	dirRetired   = "retired"
	dirRegistry  = "registry"
	dirKeys      = "keys"
	dirRun       = "run"
	dirCache     = "cache"
	dirACME      = "acme"
)

// makeFolders makes what is missing and sets the modes of what is there.
func makeFolders(data string, root bool) error {
	if root {
		if err := passable(data); err != nil {
			return err // before anything is made in a place that cannot be used
		}
	}
	if err := os.MkdirAll(data, 0o711); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	modes := []struct {
		name string
		mode os.FileMode
	}{
		{"", 0o711}, {dirInstances, 0o711}, {dirCache, 0o711}, {dirRetired, 0o700},
		{dirRegistry, 0o700}, {dirKeys, 0o700}, {dirRun, 0o700}, {dirACME, 0o700},
	}
	for _, f := range modes {
		path := filepath.Join(data, f.name)
		if err := os.MkdirAll(path, f.mode); err != nil {
			return fmt.Errorf("make the data folder: %w", err)
		}
		if err := os.Chmod(path, f.mode); err != nil {
			return fmt.Errorf("set the mode of the data folder: %w", err)
		}
	}
	if root {
		return passable(data) // a umask may have closed the parents that were missing
	}
	return nil
}

// passable refuses a data folder that instances, which run as users of their own,
// could not reach: they would fail one by one with an error that says less.
// Parents that are not there yet are no hindrance.
func passable(data string) error {
	for dir := filepath.Dir(data); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look at %s, a parent of the data folder: %w", dir, err)
		}
		if info.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("instances run as users of their own and cannot pass through %s (mode %04o), a parent of the data folder: "+
				"choose another --data, or `chmod o+x %s`", dir, info.Mode().Perm(), dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}
