package gallery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

const repositoriesPath = "/docker/registry/v2/repositories"

func uploadPath(image, id string) string {
	return path.Join(repositoriesPath, image, "_uploads", id)
}

// purge removes the uploads that got their last byte before then.
func (g *Registry) purge(ctx context.Context, then time.Time) error {
	root := g.driver.full(repositoriesPath)
	return filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // finished, or nothing was ever pushed
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || !e.IsDir() || !strings.HasPrefix(e.Name(), "_") {
			return err
		}
		if e.Name() == "_uploads" {
			err = g.purgeFolder(ctx, p, then)
		}
		return cmp.Or(err, fs.SkipDir)
	})
}

func (g *Registry) purgeFolder(ctx context.Context, dir string, then time.Time) error {
	uploads, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, u := range uploads {
		p := filepath.Join(dir, u.Name())
		last, err := lastChange(p)
		if err != nil || last.After(then) {
			continue // it has just ended, or goes on
		}
		inside, err := filepath.Rel(g.options.Dir, p)
		if err == nil {
			err = g.driver.Delete(ctx, "/"+filepath.ToSlash(inside))
		}
		if err != nil {
			return fmt.Errorf("remove upload %s: %w", p, err)
		}
		g.options.Logger.Info("removed an abandoned upload", "folder", p, "last", last)
	}
	return nil
}

// lastChange is when anything below dir was last written.
func lastChange(dir string) (last time.Time, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
		return err
	})
	return last, err
}
