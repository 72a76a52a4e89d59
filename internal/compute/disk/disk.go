package disk

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Images is where images come from.
type Images interface {
	// Config returns an image's configuration and layers by the digest of its manifest.
	Config(ctx context.Context, digest string) (ocispec.Image, []ocispec.Descriptor, error)
	// Layer opens a layer's blob by its digest.
	Layer(ctx context.Context, digest string) (io.ReadCloser, error)
}

type Options struct {
	CacheDir   string // layers and trash; on the instances' file system, so that files can be shared
	RetiredDir string // where data folders wait for their deadline
	Images     Images
	Root       bool // running as root: OS files are shared with the cache
	Limits     Limits
	Logger     *slog.Logger
}

// Limits bound what one image may unpack to. Zero values mean the defaults.
type Limits struct {
	Entries int   // 1,000,000
	Bytes   int64 // 32 GiB
}

// Store owns the layer cache, the retired data folders and the making and removing of instance folders.
type Store struct{ o Options }

func New(o Options) (*Store, error) { return &Store{o: o}, nil }

// Spec is one instance's disk as it should be.
type Spec struct {
	Digest      string // of the image's manifest
	InstanceDir string // <data>/instances/<set>/<id>
	UID, GID    int    // the instance's, as root
	Root        string // as the model has it: host, image, or empty: decided by the image
	Replace     bool   // make os/ anew also when it is already there (reimage)
}

// Disk is what an instance's process is started from.
type Disk struct {
	Digest     string   `json:"digest"`
	Root       string   `json:"root"` // decided: host or image
	Entrypoint []string `json:"entrypoint,omitempty"`
	Cmd        []string `json:"cmd,omitempty"`
	Env        []string `json:"env,omitempty"`
	WorkDir    string   `json:"workDir,omitempty"` // inside os/, links resolved; empty: os/ itself
	Ignored    []string `json:"ignored,omitempty"` // fields of the image's configuration that are set and have no effect
	Dropped    Dropped  `json:"dropped"`
}

// Dropped counts what unpacking left out on purpose.
type Dropped struct {
	Setuid       int `json:"setuid,omitempty"`
	Setgid       int `json:"setgid,omitempty"`
	Capabilities int `json:"capabilities,omitempty"`
}

// Prepare makes the instance's folder whole: os/ from the image, data/ and tmp/
// when missing. When os/ is already there from this image and this boot it is kept.
func (s *Store) Prepare(ctx context.Context, sp Spec) (Disk, error) {
	return Disk{}, errors.ErrUnsupported
}

// Retired is a data folder that waits for its deadline.
type Retired struct {
	Instance string    `json:"instance"`
	Set      string    `json:"set"`
	UID      int       `json:"uid"` // its files' owner: not to be given to another meanwhile
	Until    time.Time `json:"until"`
	Path     string    `json:"-"`
}

// Retire moves instanceDir's data folder to the retired ones and reports whether there was something to keep.
func (s *Store) Retire(ctx context.Context, instanceDir string, r Retired) (bool, error) {
	return false, errors.ErrUnsupported
}

// ListRetired lists the retired data folders.
func (s *Store) ListRetired() ([]Retired, error) { return nil, errors.ErrUnsupported }

// Sweep removes retired folders whose deadline has passed and what interrupted removals left.
func (s *Store) Sweep(ctx context.Context, now time.Time) error { return errors.ErrUnsupported }

// Discard removes a set's retired folders at once.
func (s *Store) Discard(ctx context.Context, set string) error { return errors.ErrUnsupported }

// Remove removes an instance's folder: gone from its place at once, then deleted.
func (s *Store) Remove(ctx context.Context, instanceDir string) error { return errors.ErrUnsupported }

// Collect removes cached layers that none of these images has and no Prepare is using.
func (s *Store) Collect(ctx context.Context, digests []string) error { return errors.ErrUnsupported }
