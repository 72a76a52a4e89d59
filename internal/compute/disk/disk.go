package disk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var (
	// ErrRefused marks an image that is not unpacked because of what is in it. Trying again does not help.
	ErrRefused = errors.New("refused")
	// ErrCorrupt marks bytes that are not what their digest promises.
	ErrCorrupt = errors.New("corrupt")
)

// Images is where images come from.
type Images interface {
	// Config returns an image's configuration and layers by the digest of its manifest.
	Config(ctx context.Context, digest string) (ocispec.Image, []ocispec.Descriptor, error)
	// Layer opens a layer's blob by its digest.
	Layer(ctx context.Context, digest string) (io.ReadCloser, error)
}

// Options of a Store. All but Limits and Logger are required.
type Options struct {
	CacheDir   string // layers and trash; on the instances' file system, so that files can be shared
	RetiredDir string // where data folders wait for their deadline; on the same file system
	Images     Images
	Root       bool // running as root: OS files are shared with the cache
	Limits     Limits
	Logger     *slog.Logger
}

// Limits bound what one image may unpack to. Zero values mean the defaults.
type Limits struct {
	Entries int   // files, folders and links: 1,000,000
	Bytes   int64 // of all files: 32 GiB
}

// Store owns the layer cache, the retired data folders and the making and
// removing of instance folders. Its methods may be called at the same time, but
// only one at a time for the same instance.
type Store struct {
	o    Options
	life string // names this Store's work folders: those of another are left over
	// margin refuses to write where the file system has no room for it; tests have their own.
	margin func(dir string, need int64) error

	retiring sync.Mutex // held while retired folders change

	mu       sync.Mutex // guards what follows
	serial   int
	layers   map[string]*cached // by folder: pinned, or verified in this life
	deleting map[string]bool    // folders in the trash
}

// New checks the options and makes the folders; it starts nothing.
func New(o Options) (*Store, error) {
	if o.Limits.Entries == 0 {
		o.Limits.Entries = 1_000_000
	}
	if o.Limits.Bytes == 0 {
		o.Limits.Bytes = 32 << 30
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{o: o, life: rand.Text()[:8], margin: margin, layers: map[string]*cached{}, deleting: map[string]bool{}}
	return s, s.makeFolders()
}

// makeFolders is also asked before they are used: a user may clear a cache at any
// time, and a missing trash must not be taken for a folder that is gone already.
func (s *Store) makeFolders() error {
	for _, dir := range []string{s.layersDir(), s.workDir(), s.trashDir(), s.o.RetiredDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the disk store's folders: %w", err)
		}
	}
	return nil
}

func (s *Store) layersDir() string { return filepath.Join(s.o.CacheDir, "layers") }
func (s *Store) workDir() string   { return filepath.Join(s.o.CacheDir, "work") }
func (s *Store) trashDir() string  { return filepath.Join(s.o.CacheDir, "trash") }

// fresh is a name that nothing else has: not in this life, not in another.
func (s *Store) fresh() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	return fmt.Sprintf("%s-%d", s.life, s.serial)
}
