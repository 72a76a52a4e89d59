package gallery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/droverhq/drover/internal/resource"
)

const (
	catalogPage    = 100
	maxCatalogPage = 1000
)

// catalog lists the images that the caller may pull, page by page.
func (g *Registry) catalog(w http.ResponseWriter, r *http.Request, c Caller) error {
	n, last := catalogPage, r.URL.Query().Get("last")
	if text := r.URL.Query().Get("n"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 {
			return resource.Errorf(resource.CodeInvalid, "n=%q is not a number above 0", text)
		}
		n = min(n, maxCatalogPage)
	}
	all, err := g.repositories(r.Context())
	if err != nil {
		return err
	}
	page := slices.DeleteFunc(all, func(image string) bool { return image <= last || !c.May(Pull, image) })
	if len(page) > n {
		page = page[:n]
		next := url.Values{"n": {strconv.Itoa(n)}, "last": {page[n-1]}}
		w.Header().Set("Link", fmt.Sprintf(`</v2/_catalog?%s>; rel="next"`, next.Encode()))
	}
	body, err := json.Marshal(struct {
		Repositories []string `json:"repositories"`
	}{append([]string{}, page...)})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
	return nil
}

// repositories returns the names of all that something was ever pushed to, sorted.
func (g *Registry) repositories(ctx context.Context) ([]string, error) {
	names := []string{}
	root := g.driver.full(repositoriesPath)
	err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || !e.IsDir() || p == root {
			return err
		}
		if strings.HasPrefix(e.Name(), "_") {
			return fs.SkipDir
		}
		if _, err := os.Stat(filepath.Join(p, "_manifests")); err != nil {
			return nil // a segment of others' names, or a push that has just begun
		}
		name, err := filepath.Rel(root, p)
		names = append(names, filepath.ToSlash(name))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the registry: %w", err)
	}
	slices.Sort(names)
	return names, nil
}
