package imagepush

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/mattn/go-shellwords"
)

// Folder becomes one layer.
type Folder struct {
	Path string // on this machine
	// Prefix is where the image holds it: a/b. Empty: at its root.
	Prefix string
}

// Options say what an image is made of.
type Options struct {
	// Base is an image made by Build that the layers are put upon: they are read
	// once for all images that share them. Nil: an empty one.
	Base       v1.Image
	Layers     []Folder // the last one on top
	Entrypoint []string
	Cmd        []string
	Env        []string // KEY=VALUE
	WorkingDir string
	Labels     map[string]string
	// Platform is OS/ARCH, linux/amd64 unless told: the digest must not depend on
	// the machine that pushes.
	Platform string
}

// Build reads the folders and returns their image. Its layers are read again
// when the image is pushed.
func Build(ctx context.Context, o Options) (v1.Image, error) {
	if len(o.Layers) == 0 {
		return nil, errors.New("an image needs a folder")
	}
	img := o.Base
	if img == nil {
		img = mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	}
	for _, f := range o.Layers {
		l, err := newLayer(ctx, f)
		if err != nil {
			return nil, fmt.Errorf("read folder %s: %w", f.Path, err)
		}
		if img, err = mutate.Append(img, mutate.Addendum{Layer: l, History: v1.History{Created: epoch, CreatedBy: "drover image push"}}); err != nil {
			return nil, fmt.Errorf("add folder %s to the image: %w", f.Path, err)
		}
	}
	config, err := o.config(img)
	if err != nil {
		return nil, err
	}
	return mutate.ConfigFile(img, config)
}

var epoch = v1.Time{Time: time.Unix(0, 0).UTC()}

func (o Options) config(img v1.Image) (*v1.ConfigFile, error) {
	config, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the image's configuration: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	if o.Platform != "" {
		var ok bool
		if config.OS, config.Architecture, ok = strings.Cut(o.Platform, "/"); !ok || config.OS == "" || config.Architecture == "" {
			return nil, fmt.Errorf("platform %q: write OS/ARCH, for example linux/arm64", o.Platform)
		}
	}
	for _, e := range o.Env {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			return nil, fmt.Errorf("environment %q: write KEY=VALUE", e)
		}
	}
	config.Created = epoch
	config.Config.Entrypoint = slices.Clone(o.Entrypoint)
	config.Config.Cmd = slices.Clone(o.Cmd)
	config.Config.Env = slices.Clone(o.Env)
	config.Config.WorkingDir = o.WorkingDir
	config.Config.Labels = maps.Clone(o.Labels)
	return config, nil
}

// SplitCommand splits a command line into words as a shell does, quotes and
// backslashes included. No shell will run, so that what only a shell could do is refused.
func SplitCommand(line string) ([]string, error) {
	p := shellwords.NewParser()
	words, err := p.Parse(line)
	if err != nil {
		return nil, fmt.Errorf("split %q into words: %w", line, err)
	}
	if p.Position >= 0 {
		return nil, fmt.Errorf("split %q into words: no shell runs, so that ; & | < > need quotes", line)
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("%q holds no command", line)
	}
	return words, nil
}

// checkPrefix cleans a prefix that lies inside the image.
func checkPrefix(prefix string) (string, error) {
	clean := path.Clean("/" + prefix)[1:]
	if slices.Contains(strings.Split(prefix, "/"), "..") {
		return "", fmt.Errorf("prefix %q leads out of the image", prefix)
	}
	return clean, nil
}
