package disk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Retired is a data folder that waits for its deadline.
type Retired struct {
	Instance string    `json:"instance"`
	Set      string    `json:"set"`
	UID      int       `json:"uid"` // its files' owner: not to be given to another meanwhile
	Until    time.Time `json:"until"`
	Path     string    `json:"-"`
}

const recordSuffix = ".json"

// Retire moves instanceDir's data folder to the retired ones and reports
// whether there was something to keep. The record is on disk before the folder
// moves: a crash in between leaves a record alone, and Retire can be called again.
func (s *Store) Retire(ctx context.Context, instanceDir string, r Retired) (bool, error) {
	s.retiring.Lock()
	defer s.retiring.Unlock()
	data := filepath.Join(instanceDir, dataName)
	if empty, err := isEmpty(data); err != nil || empty {
		return false, err
	}
	path := s.freePath(r.Instance)
	if err := writeRecord(path+recordSuffix, r); err != nil {
		return false, fmt.Errorf("retire the data of %s: %w", r.Instance, err)
	}
	if err := os.Rename(data, path); err != nil {
		return false, fmt.Errorf("retire the data of %s: %w", r.Instance, err)
	}
	return true, errors.Join(syncDir(s.o.RetiredDir), syncDir(instanceDir))
}

// freePath is where the instance's data goes; a set of the same name, deleted and made again, may have used it.
func (s *Store) freePath(instance string) string {
	path := filepath.Join(s.o.RetiredDir, instance)
	for n := 1; ; n++ {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return path
		}
		path = filepath.Join(s.o.RetiredDir, fmt.Sprintf("%s.%d", instance, n))
	}
}

func isEmpty(dir string) (bool, error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		// Not as root, a workload may have closed its own folder.
		if err = os.Chmod(dir, 0o700); err == nil {
			f, err = os.Open(dir)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

func writeRecord(name string, r Retired) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	part := name + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(part, name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// ListRetired lists the retired data folders. One whose record cannot be read is
// never removed; the error says which, beside the others.
func (s *Store) ListRetired() ([]Retired, error) {
	names, err := os.ReadDir(s.o.RetiredDir)
	if err != nil {
		return nil, fmt.Errorf("list the retired data folders: %w", err)
	}
	var list []Retired
	var errs []error
	for _, e := range names {
		name, isRecord := strings.CutSuffix(e.Name(), recordSuffix)
		if !isRecord {
			continue
		}
		r, err := readRecord(filepath.Join(s.o.RetiredDir, e.Name()))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		r.Path = filepath.Join(s.o.RetiredDir, name)
		list = append(list, r)
	}
	return list, errors.Join(errs...)
}

func readRecord(name string) (r Retired, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil || r.Until.IsZero() {
		return r, fmt.Errorf("the record %s is damaged; its folder is kept: %w", name, errors.Join(err, ErrCorrupt))
	}
	return r, nil
}

// Sweep removes retired folders whose deadline has passed and what interrupted removals left.
func (s *Store) Sweep(ctx context.Context, now time.Time) error {
	err := s.dropRetired(func(r Retired) bool { return !now.Before(r.Until) })
	return errors.Join(err, s.sweepTrash(ctx))
}

// Discard removes a set's retired folders at once.
func (s *Store) Discard(ctx context.Context, set string) error {
	err := s.dropRetired(func(r Retired) bool { return r.Set == set })
	return errors.Join(err, s.sweepTrash(ctx))
}

// dropRetired throws folders into the trash. The folder goes before its record:
// a crash leaves a record without a folder, which the next time removes.
func (s *Store) dropRetired(due func(Retired) bool) error {
	s.retiring.Lock()
	defer s.retiring.Unlock()
	list, err := s.ListRetired()
	errs := []error{err}
	for _, r := range list {
		if !due(r) {
			continue
		}
		_, err := s.throw(r.Path)
		if err == nil {
			err = os.Remove(r.Path + recordSuffix)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
