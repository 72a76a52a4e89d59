package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/droverhq/drover/internal/resource"
)

// pageSize is how many documents one request lists.
const pageSize = 500

// Filter narrows a list or a watch. Empty fields do not.
type Filter struct {
	Name   string            // one document
	Set    string            // instances and rollouts of a scale set, versions of an image
	Labels map[string]string // all of them
}

// List is what was listed, as of Revision.
type List struct {
	Items    []resource.Document
	Revision int64
}

type page struct {
	Items    []resource.Document `json:"items"`
	Revision int64               `json:"revision"`
	Continue string              `json:"continue"`
}

// Get returns one document.
func (c *Client) Get(ctx context.Context, kind, name string) (resource.Document, error) {
	var d resource.Document
	path, err := documentPath(kind, name)
	if err != nil {
		return d, err
	}
	_, err = c.call(ctx, request{method: http.MethodGet, path: path}, &d)
	return d, err
}

// List returns all documents of a kind that match, however many pages they take.
// A list that the server can no longer continue is begun again, once.
func (c *Client) List(ctx context.Context, kind string, f Filter) (List, error) {
	list, err := c.list(ctx, kind, f)
	if resource.IsCode(err, resource.CodeGone) {
		list, err = c.list(ctx, kind, f)
	}
	return list, err
}

func (c *Client) list(ctx context.Context, kind string, f Filter) (List, error) {
	k, err := resource.LookupKind(kind)
	if err != nil {
		return List{}, err
	}
	query := f.query()
	query.Set("limit", strconv.Itoa(pageSize))
	var all List
	for {
		var p page
		if _, err := c.call(ctx, request{method: http.MethodGet, path: []string{k.Plural}, query: query}, &p); err != nil {
			return List{}, err
		}
		if all.Revision == 0 {
			all.Revision = p.Revision // a watch from the first page's revision misses nothing of the later ones
		}
		for _, d := range p.Items {
			if f.Name == "" || d.Name == f.Name {
				all.Items = append(all.Items, d)
			}
		}
		if p.Continue == "" {
			return all, nil
		}
		if p.Continue == query.Get("continue") {
			return List{}, fmt.Errorf("list %s: %s continues where it continued before", k.Plural, c.target)
		}
		query.Set("continue", p.Continue)
	}
}

func (f Filter) query() url.Values {
	query := url.Values{}
	if f.Set != "" {
		query.Set("set", f.Set)
	}
	for k, v := range f.Labels {
		query.Add("label", k+"="+v)
	}
	return query
}

// matches is the part of the filter that is decided here: a change may take a
// document out of it, which only who knows the old content can tell.
func (f Filter) matches(d resource.Document) bool {
	if f.Name != "" && d.Name != f.Name {
		return false
	}
	for k, v := range f.Labels {
		if got, ok := d.Labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// documentPath is the path of one document below /api/v1.
func documentPath(kind, name string) ([]string, error) {
	k, err := resource.LookupKind(kind)
	if err != nil {
		return nil, err
	}
	if name == "" {
		return nil, resource.Errorf(resource.CodeInvalid, "a %s without a name", k.Name)
	}
	return []string{k.Plural, name}, nil
}
