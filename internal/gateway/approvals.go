package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// approvals are the events that instances have approved. They are in a file before
// anybody is answered, and the next gateway reads it: no control process needs to
// be there, and either may be killed. An approval is forgotten once the snapshot
// shows that the control process has acted on it; in the file it may stay until the
// next one is written.
type approvals struct {
	path string

	writing sync.Mutex // one writer of the file at a time; before mu

	mu     sync.Mutex
	at     map[string]time.Time
	closed bool
}

// openApprovals reads what an earlier gateway was approved. A file that cannot be
// understood is set aside: the events in it then wait for their NotBefore.
func openApprovals(path string, logger *slog.Logger) (*approvals, error) {
	a := &approvals{path: path, at: map[string]time.Time{}}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the approvals of scheduled events: %w", err)
	}
	if err := json.Unmarshal(raw, &a.at); err != nil || a.at == nil {
		aside := path + ".damaged"
		logger.Error("The approvals of scheduled events are damaged and set aside", "file", path, "aside", aside, "error", err)
		a.at = map[string]time.Time{}
		return a, os.Rename(path, aside)
	}
	return a, nil
}

// add returns once the events are on disk.
func (a *approvals) add(events []string, now time.Time) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	next := a.list()
	for _, id := range events {
		if _, ok := next[id]; !ok {
			next[id] = now
		}
	}
	if err := a.write(next); err != nil {
		return fmt.Errorf("keep the approvals of scheduled events: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range events {
		a.at[id] = next[id]
	}
	return nil
}

// write puts the file in place whole, or not at all. A gateway that gives way to
// another one writes no more: the other has read the file.
func (a *approvals) write(all map[string]time.Time) error {
	raw, err := json.Marshal(all)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(a.path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return errStopping
	}
	if err := os.Rename(a.path+".new", a.path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(a.path))
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// retain forgets what the control process has taken up.
func (a *approvals) retain(open map[string]bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.at, func(id string, _ time.Time) bool { return !open[id] })
}

func (a *approvals) list() map[string]time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.at)
}

// close has nothing written any more, and open has it again: nobody else came to.
func (a *approvals) close() { a.setClosed(true) }
func (a *approvals) open()  { a.setClosed(false) }

func (a *approvals) setClosed(closed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = closed
}
