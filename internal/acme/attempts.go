package acme

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

// attempts are those that failed last, in a file: a server that is started again and
// again must not order each time. When the file is lost, so is the memory of them,
// and no more.
type attempts struct {
	path   string
	logger *slog.Logger

	mu   sync.Mutex
	list map[string]attempt
}

func openAttempts(dir string, logger *slog.Logger) *attempts {
	a := &attempts{path: filepath.Join(dir, "attempts.json"), logger: logger, list: map[string]attempt{}}
	raw, err := os.ReadFile(a.path)
	if err == nil {
		err = json.Unmarshal(raw, &a.list)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		logger.Warn("It is not known which orders of certificates failed", "error", err)
	}
	if a.list == nil {
		a.list = map[string]attempt{}
	}
	return a
}

func (a *attempts) get(key string) attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.list[key]
}

// set notes an attempt; the zero value forgets it.
func (a *attempts) set(key string, to attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.list[key] == to {
		return
	}
	a.list[key] = to
	if to == (attempt{}) {
		delete(a.list, key)
	}
	if err := a.write(); err != nil {
		a.logger.Warn("Which orders of certificates failed will not be known after a restart", "error", err)
	}
}

func (a *attempts) write() error {
	raw, err := json.Marshal(a.list)
	if err != nil {
		return err
	}
	if err := os.WriteFile(a.path+".new", raw, 0o600); err != nil {
		return err
	}
	return os.Rename(a.path+".new", a.path)
}
