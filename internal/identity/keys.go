package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Keys are small secret files below one folder, each stored twice.
type Keys struct {
	dir    string
	logger *slog.Logger

	mu sync.Mutex // one reader or writer of key files at a time
}

// NewKeys uses dir, which is made with mode 0700 when the first key is.
func NewKeys(dir string, logger *slog.Logger) *Keys {
	return &Keys{dir: dir, logger: logger}
}

// keyHeader begins every key file; the checksum of the content follows it.
const keyHeader = "drover-key 1 sha256:"

var errDamaged = errors.New("the checksum does not fit the content")

// LoadOrCreate returns the key of that name, repairing a bad copy from the good
// one. When there is none it is made by create and is on disk, twice, before this
// returns. Both copies bad: they are set aside first.
func (k *Keys) LoadOrCreate(name string, create func() ([]byte, error)) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.makeDir(); err != nil {
		return nil, fmt.Errorf("make the keys' folder: %w", err)
	}
	key, err := k.load(name)
	if key != nil || err != nil {
		return key, err
	}
	if key, err = create(); err != nil {
		return nil, fmt.Errorf("make key %s: %w", name, err)
	}
	return key, k.store(name, key)
}

// Replace stores a new content under that name.
func (k *Keys) Replace(name string, key []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.makeDir(); err != nil {
		return fmt.Errorf("make the keys' folder: %w", err)
	}
	return k.store(name, key)
}

func (k *Keys) makeDir() error {
	_, err := os.Lstat(k.dir)
	if err == nil {
		return os.Chmod(k.dir, 0o700)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return err
	}
	return syncDir(filepath.Dir(k.dir))
}

func (k *Keys) paths(name string) [2]string {
	first := filepath.Join(k.dir, name)
	return [2]string{first, first + ".copy"}
}

// load returns nil without an error when there is no good copy.
func (k *Keys) load(name string) ([]byte, error) {
	paths := k.paths(name)
	var keys [2][]byte
	var errs [2]error
	for i, path := range paths {
		keys[i], errs[i] = k.readKey(path)
		if errs[i] != nil && !bad(errs[i]) {
			return nil, fmt.Errorf("read key %s: %w", name, errs[i])
		}
	}
	for i := range paths {
		if errs[i] != nil {
			continue
		}
		other := 1 - i
		if errs[other] != nil || !bytes.Equal(keys[0], keys[1]) {
			if err := k.repair(name, paths[other], keys[i], errs[other]); err != nil {
				return nil, err
			}
		}
		return keys[i], nil
	}
	return nil, k.setAside(name, paths, errs)
}

// bad reports whether an error is about the file's content or being, so that the other copy decides.
func bad(err error) bool {
	_, untrusted := errors.AsType[errUntrusted](err)
	return untrusted || errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged)
}

func (k *Keys) repair(name, path string, key []byte, why error) error {
	if why == nil {
		why = errors.New("it is older than the other copy")
	}
	k.logger.Warn("repaired one copy of a key from the other", "name", name, "file", path, "reason", why.Error())
	if err := writeSecret(path, sealed(key)); err != nil {
		return fmt.Errorf("repair a copy of key %s: %w", name, err)
	}
	return nil
}

// setAside moves damaged copies away, for whoever wants to look into them.
func (k *Keys) setAside(name string, paths [2]string, errs [2]error) error {
	for i, path := range paths {
		if errors.Is(errs[i], fs.ErrNotExist) {
			continue
		}
		aside := fmt.Sprintf("%s.damaged-%d", path, time.Now().UnixNano())
		if err := os.Rename(path, aside); err != nil {
			return fmt.Errorf("set the damaged key %s aside: %w", name, err)
		}
		k.logger.Error("both copies of a key are lost, a new one is made", "name", name, "file", path, "reason", errs[i].Error(), "aside", aside)
	}
	return nil
}

// store writes both copies; the first is the newer one until the second is written.
func (k *Keys) store(name string, key []byte) error {
	for _, path := range k.paths(name) {
		if err := writeSecret(path, sealed(key)); err != nil {
			return fmt.Errorf("write key %s: %w", name, err)
		}
	}
	return nil
}

func sealed(key []byte) []byte {
	sum := sha256.Sum256(key)
	return append([]byte(keyHeader+hex.EncodeToString(sum[:])+"\n"), key...)
}

// readKey takes back a mode that is too wide and says so: the folder above kept
// others out, and a new key would lock every client out.
func (k *Keys) readKey(path string) ([]byte, error) {
	content, info, err := readFile(path)
	if err != nil {
		return nil, err
	}
	if wide := private(info); wide != nil {
		k.logger.Warn("a key's file should be private", "file", path, "reason", wide.Error())
		if err := os.Chmod(path, 0o600); err != nil {
			return nil, err
		}
	}
	_, key, found := bytes.Cut(content, []byte("\n"))
	if !found || !bytes.Equal(content, sealed(key)) {
		return nil, errDamaged
	}
	return key, nil
}
