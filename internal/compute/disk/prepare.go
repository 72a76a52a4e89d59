package disk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/droverhq/drover/internal/resource"
)

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
// when missing. An os/ that is there from this image and this boot is kept; not
// as root its workload could have changed it, so it is compared file by file.
func (s *Store) Prepare(ctx context.Context, sp Spec) (Disk, error) {
	d, err := s.prepare(ctx, sp)
	if err != nil {
		return Disk{}, fmt.Errorf("prepare the disk of %s: %w", filepath.Base(sp.InstanceDir), err)
	}
	return d, nil
}

func (s *Store) prepare(ctx context.Context, sp Spec) (Disk, error) {
	if err := s.frame(ctx, sp); err != nil {
		return Disk{}, err
	}
	there, err := readMarker(sp.InstanceDir)
	keep := err == nil && there.Disk.Digest == sp.Digest && !sp.Replace
	if keep && s.o.Root {
		return there.disk(sp.Root), nil
	}
	a, err := s.assemble(ctx, sp.Digest, false)
	if err != nil {
		return Disk{}, err
	}
	defer a.release()
	if keep && a.tree.root.matches(ctx, filepath.Join(sp.InstanceDir, osName)) == nil {
		return a.marker.disk(sp.Root), nil
	}
	err = s.replaceOS(ctx, sp, a)
	if errors.Is(err, ErrCorrupt) {
		return s.again(ctx, sp, err)
	}
	return a.marker.disk(sp.Root), err
}

// again unpacks damaged layers once more: a file of the cache was not what had
// been unpacked, by accident or by a workload of the same user.
func (s *Store) again(ctx context.Context, sp Spec, cause error) (Disk, error) {
	s.o.Logger.Warn("a file of the layer cache is damaged", "image", sp.Digest, "error", cause)
	a, err := s.assemble(ctx, sp.Digest, true)
	if err != nil {
		return Disk{}, err
	}
	defer a.release()
	return a.marker.disk(sp.Root), s.replaceOS(ctx, sp, a)
}

// assembly is an image laid out in memory; its layers stay pinned until release.
type assembly struct {
	tree    *tree
	marker  marker
	dropped Dropped
	pinned  []*cached
	release func()
}

// assemble lays out an image, unpacking the layers that the cache has not got.
// What is suspect is verified first.
func (s *Store) assemble(ctx context.Context, imageDigest string, suspect bool) (*assembly, error) {
	a := &assembly{tree: newTree(s.o.Limits.Entries)}
	a.release = func() { s.unpin(a.pinned) }
	config, blobs, err := s.o.Images.Config(ctx, imageDigest)
	var layers []wanted
	if err == nil {
		layers, err = match(config, blobs)
	}
	if err == nil {
		err = s.layAll(ctx, a, layers, suspect)
	}
	if err == nil {
		a.marker, err = a.describe(imageDigest, config.Config)
	}
	if err != nil {
		a.release()
		return nil, fmt.Errorf("image %s: %w", imageDigest, err)
	}
	return a, nil
}

// match pairs blobs with the diff ids that the configuration gives them.
func match(config ocispec.Image, blobs []ocispec.Descriptor) ([]wanted, error) {
	ids := config.RootFS.DiffIDs
	if len(ids) != len(blobs) {
		return nil, fmt.Errorf("%d layers but %d diff ids: %w", len(blobs), len(ids), ErrRefused)
	}
	layers := make([]wanted, len(ids))
	for i, id := range ids {
		if id.Validate() != nil || id.Algorithm() != digest.SHA256 || blobs[i].Digest.Validate() != nil {
			return nil, fmt.Errorf("layer %d has no valid SHA-256 digest: %w", i, ErrRefused)
		}
		layers[i] = wanted{blob: blobs[i], diffID: id}
	}
	return layers, nil
}

// layAll lays the layers over each other, lowest first.
func (s *Store) layAll(ctx context.Context, a *assembly, layers []wanted, suspect bool) error {
	left := s.o.Limits.Bytes
	for _, w := range layers {
		c := s.pin(w.diffID)
		a.pinned = append(a.pinned, c)
		m, err := s.layer(ctx, c, w, left, suspect)
		if err != nil {
			return err
		}
		if left -= m.Bytes; left < 0 {
			return fmt.Errorf("its files are larger than %d bytes: %w", s.o.Limits.Bytes, ErrRefused)
		}
		a.dropped.add(m.Dropped)
		if err := a.tree.apply(m); err != nil {
			return fmt.Errorf("layer %s: %w", w.blob.Digest, err)
		}
	}
	return nil
}

// marker says what os/ is. It is believed only in the boot it was written in:
// os/ is not synced, and a power cut may have left any part of it.
type marker struct {
	Boot string `json:"boot"`
	Full bool   `json:"full"` // the image brings its own system: root: image unless told otherwise
	Disk Disk   `json:"disk"` // Root left empty
}

const (
	osName     = "os"
	dataName   = "data"
	tmpName    = "tmp"
	markerName = "os.json"
	partPrefix = ".os-"
)

func (a *assembly) describe(imageDigest string, c ocispec.ImageConfig) (marker, error) {
	dir, err := a.tree.workDir(c.WorkingDir)
	return marker{
		Boot: bootID(),
		Full: a.tree.holds("bin/sh") || a.tree.holds("etc/os-release"),
		Disk: Disk{
			Digest: imageDigest, Entrypoint: c.Entrypoint, Cmd: c.Cmd, Env: c.Env,
			WorkDir: dir, Ignored: ignored(c), Dropped: a.dropped,
		},
	}, err
}

func (m marker) disk(root string) Disk {
	d := m.Disk
	switch {
	case root != "":
		d.Root = root
	case m.Full:
		d.Root = resource.RootImage
	default:
		d.Root = resource.RootHost
	}
	return d
}

func ignored(c ocispec.ImageConfig) []string {
	var fields []string
	if c.User != "" {
		fields = append(fields, "User")
	}
	if len(c.Volumes) > 0 {
		fields = append(fields, "Volumes")
	}
	if len(c.ExposedPorts) > 0 {
		fields = append(fields, "ExposedPorts")
	}
	return fields
}

// holds reports whether something lies at name, be it a link that leads nowhere.
func (t *tree) holds(name string) bool {
	dir, base := filepath.Split(name)
	_, n := t.resolve(dir)
	return n != nil && n.isDir() && n.children[base] != nil
}

// workDir resolves the image's working directory, making it in the tree when it is missing.
func (t *tree) workDir(dir string) (string, error) {
	clean, err := cleanName(strings.TrimLeft(dir, "/"))
	if err != nil {
		return "", fmt.Errorf("the image's WorkingDir: %w", err)
	}
	real, n := t.resolve(clean)
	if n == nil {
		real = clean
		if _, _, err := t.parent(clean+"/.", true); err != nil {
			return "", fmt.Errorf("the image's WorkingDir: %w", err)
		}
	} else if !n.isDir() {
		return "", fmt.Errorf("the image's WorkingDir %q is a %s: %w", dir, n.noun(), ErrRefused)
	}
	return real, nil
}

func readMarker(instanceDir string) (m marker, err error) {
	if _, err := os.Lstat(filepath.Join(instanceDir, osName)); err != nil {
		return m, err
	}
	b, err := os.ReadFile(filepath.Join(instanceDir, markerName))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("read %s: %w", markerName, err)
	}
	if m.Boot == "" || m.Boot != bootID() {
		return m, fmt.Errorf("%s is from another boot: %w", markerName, fs.ErrNotExist)
	}
	return m, nil
}

func (m marker) write(instanceDir, part string) error {
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode %s: %w", markerName, err)
	}
	if err := os.WriteFile(part, b, 0o600); err != nil {
		return err
	}
	return os.Rename(part, filepath.Join(instanceDir, markerName))
}
