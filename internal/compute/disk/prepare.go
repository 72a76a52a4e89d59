package disk

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/droverhq/drover/internal/compute/sandbox"
	"github.com/droverhq/drover/internal/resource"
)

// Spec is one instance's disk as it should be.
type Spec struct {
	Image       string // as people call it; empty: the digest
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
	if err := s.makeFolders(); err != nil {
		return Disk{}, err
	}
	if err := s.frame(ctx, sp); err != nil {
		return Disk{}, err
	}
	there, err := readMarker(sp.InstanceDir)
	keep := err == nil && !sp.Replace && there.Disk.Digest == sp.Digest && (sp.Root == "" || sp.Root == there.Disk.Root)
	if keep && s.o.Root {
		return there.Disk, nil
	}
	a, err := s.assemble(ctx, sp, false)
	if err != nil {
		return Disk{}, err
	}
	defer a.release()
	if keep && a.tree.root.matches(ctx, filepath.Join(sp.InstanceDir, osName)) == nil {
		return a.disk, nil
	}
	err = s.replaceOS(ctx, sp, a)
	if errors.Is(err, ErrCorrupt) {
		return s.again(ctx, sp, err)
	}
	return a.disk, err
}

// again unpacks damaged layers once more: a file of the cache was not what had
// been unpacked, by accident or by a workload of the same user.
func (s *Store) again(ctx context.Context, sp Spec, cause error) (Disk, error) {
	s.o.Logger.Warn("a file of the layer cache is damaged", "image", sp.Digest, "error", cause)
	a, err := s.assemble(ctx, sp, true)
	if err != nil {
		return Disk{}, err
	}
	defer a.release()
	return a.disk, s.replaceOS(ctx, sp, a)
}

// assembly is an image laid out in memory; its layers stay pinned until release.
type assembly struct {
	tree    *tree
	disk    Disk
	pinned  []*cached
	release func()
}

// assemble lays out an image, unpacking the layers that the cache has not got.
// What is suspect is verified first.
func (s *Store) assemble(ctx context.Context, sp Spec, suspect bool) (*assembly, error) {
	a := &assembly{tree: newTree(s.o.Limits.Entries)}
	a.release = func() { s.unpin(a.pinned) }
	config, blobs, err := s.o.Images.Config(ctx, sp.Digest)
	var layers []wanted
	if err == nil {
		layers, err = match(config, blobs)
	}
	if err == nil {
		err = s.layAll(ctx, a, layers, suspect)
	}
	if err == nil {
		err = a.describe(sp, config.Config)
	}
	if err != nil {
		a.release()
		return nil, fmt.Errorf("image %s: %w", cmp.Or(sp.Image, sp.Digest), err)
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
		a.disk.Dropped.add(m.Dropped)
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
	Disk Disk   `json:"disk"`
}

const (
	osName     = "os"
	dataName   = "data"
	tmpName    = "tmp"
	markerName = "os.json"
	partPrefix = ".os-"
)

// describe says what the process gets, and adds to the tree what it needs
// beyond the layers.
func (a *assembly) describe(sp Spec, c ocispec.ImageConfig) (err error) {
	d := &a.disk
	d.Digest, d.Root = sp.Digest, sp.Root
	d.Entrypoint, d.Cmd, d.Env, d.Ignored = c.Entrypoint, c.Cmd, c.Env, ignored(c)
	if d.Root == "" {
		d.Root = resource.RootHost
		if a.tree.holds("bin/sh") || a.tree.holds("etc/os-release") {
			d.Root = resource.RootImage // it brings a system of its own
		}
	}
	if d.WorkDir, err = a.tree.folder(c.WorkingDir); err != nil {
		return fmt.Errorf("its WorkingDir: %w", err)
	}
	if d.Root == resource.RootImage {
		err = a.tree.mountPoints(sandbox.MountPoints(filepath.Join(sp.InstanceDir, dataName)))
	}
	return err
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

// folder resolves the name of a folder, making it when nothing is there.
func (t *tree) folder(name string) (string, error) {
	clean, err := cleanName(strings.TrimLeft(name, "/"))
	if err != nil {
		return "", err
	}
	real, n := t.resolve(clean)
	if n == nil {
		_, _, err := t.parent(clean+"/.", true)
		return clean, err
	}
	if !n.isDir() {
		return "", refusal(name, "it is a %s, not a folder", n.noun())
	}
	return real, nil
}

// mountPoints makes sure that there are folders and files to mount over. A
// file's place may hold a link that means something on another machine only
// (resolv.conf often does): it gives way.
func (t *tree) mountPoints(dirs, files []string) error {
	for _, name := range dirs {
		if _, err := t.folder(name); err != nil {
			return fmt.Errorf("make a mount point: %w", err)
		}
	}
	for _, name := range files {
		dir, err := t.folder(path.Dir(name))
		if err != nil {
			return fmt.Errorf("make a mount point: %w", err)
		}
		in, _ := t.find(dir)
		if n := in.children[path.Base(name)]; n == nil || n.content == nil {
			in.children[path.Base(name)] = &node{content: &content{entry: entry{Name: name, Kind: kindFile, Sum: sha256.Sum256(nil)}}}
		}
	}
	return nil
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
