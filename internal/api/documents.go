package api

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// List is a page of documents. A watch from its revision misses nothing that is
// not in it or on a later page.
type List struct {
	Items    []resource.Document `json:"items"`
	Revision int64               `json:"revision"`
	Continue string              `json:"continue,omitempty" doc:"Ask for the next page with it; absent on the last."`
}

type nameInput struct {
	Name string `path:"name" doc:"The document's name; a / in it is written %2F."`
}

type documentOutput struct {
	ETag string `header:"ETag" doc:"The revision, for If-Match."`
	Body resource.Document
}

// routeKind adds what every kind has.
func (s *Server) routeKind(k resource.Kind) {
	path := apiPrefix + "/" + k.Plural
	one := path + "/{name}"
	schema := s.kindSchema(k.Name)

	registerStream(s, s.listOperation(k, path), func(ctx context.Context, in *listInput) (func(huma.Context), error) {
		return s.list(ctx, k.Name, in)
	})
	register(s, huma.Operation{
		OperationID: "get" + k.Name, Method: http.MethodGet, Path: one, Tags: []string{k.Name},
		Summary: "Read one " + k.Name, Responses: answers("200", "The document.", schema), Errors: []int{404},
	}, func(ctx context.Context, in *nameInput) (*documentOutput, error) {
		return s.get(ctx, k.Name, in.Name)
	})
	s.routePut(k, one, schema)
	s.routeDelete(k, one, schema)
}

// answers documents one successful answer.
func answers(status, description string, schema *huma.Schema) map[string]*huma.Response {
	return map[string]*huma.Response{status: {
		Description: description,
		Content:     map[string]*huma.MediaType{"application/json": {Schema: schema}},
	}}
}

func (s *Server) get(ctx context.Context, kind, name string) (*documentOutput, error) {
	if err := may(ctx, VerbRead, kind, name); err != nil {
		return nil, err
	}
	d, err := s.Store.Get(ctx, kind, name)
	if err != nil {
		return nil, err
	}
	return shown(d), nil
}

func shown(d resource.Document) *documentOutput {
	return &documentOutput{ETag: etag(d.Revision), Body: visible(d)}
}

func etag(revision int64) string { return strconv.Quote(strconv.FormatInt(revision, 10)) }

// visible is a document without what nobody may see: the hash of a token's secret.
func visible(d resource.Document) resource.Document {
	if d.Kind == resource.KindToken {
		d.Status = nil
	}
	if len(d.Status) == 0 {
		d.Status = json.RawMessage("{}") // nobody has reported yet; scripts look into it all the same
	}
	return d
}

type listInput struct {
	Set         string   `query:"set" maxLength:"300" doc:"Only what belongs to this: a set's instances and rollouts, an image's versions."`
	Label       []string `query:"label,explode" maxItems:"20" doc:"KEY=VALUE that must be among the labels; may be repeated."`
	Limit       int      `query:"limit" minimum:"1" maximum:"1000" doc:"How many documents a page holds; absent: all."`
	Continue    string   `query:"continue" maxLength:"2000" doc:"Where the page before ended."`
	Watch       bool     `query:"watch" doc:"Stream changes as server-sent events instead."`
	After       revision `query:"after" doc:"The revision after which changes are wanted; absent: from now on."`
	LastEventID string   `header:"Last-Event-ID" pattern:"^[0-9]{1,18}$" doc:"The last event seen; goes before after."`
}

// revision is an optional parameter: 0 is a revision as well.
type revision struct {
	Value int64
	IsSet bool
}

// Schema is for huma.
func (revision) Schema(r huma.Registry) *huma.Schema {
	zero := 0.0
	return &huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: &zero}
}

// Receiver is for huma.
func (p *revision) Receiver() reflect.Value { return reflect.ValueOf(p).Elem().Field(0) }

// OnParamSet is for huma.
func (p *revision) OnParamSet(isSet bool, _ any) { p.IsSet = isSet }

// filter is what a list or a watch is narrowed to.
type filter struct {
	kind, owner string
	labels      map[string]string
	who         Principal
}

func (f filter) covers(d resource.Document) bool {
	return f.who.May(VerbRead, d.Kind, d.Name, resource.OwnerOf(d))
}

func (f filter) matches(d resource.Document) bool {
	for k, v := range f.labels {
		if got, ok := d.Labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}

func newFilter(ctx context.Context, kind string, in *listInput) (filter, error) {
	f := filter{kind: kind, owner: in.Set, who: callOf(ctx).who}
	if !f.who.MayList(kind) {
		return f, resource.Errorf(resource.CodeForbidden, "the token's role or scope does not cover any %s", kind)
	}
	if f.owner != "" && !hasOwner(kind) {
		return f, badParameter("set", "a "+kind+" belongs to no set")
	}
	for _, label := range in.Label {
		k, v, ok := strings.Cut(label, "=")
		if !ok || k == "" {
			return f, badParameter("label", "write it KEY=VALUE")
		}
		if f.labels == nil {
			f.labels = map[string]string{}
		}
		f.labels[k] = v
	}
	return f, nil
}

func hasOwner(kind string) bool {
	return slices.Contains([]string{resource.KindInstance, resource.KindRollout, resource.KindImageVersion}, kind)
}

func badParameter(name, detail string) error {
	return &resource.Error{
		Code: resource.CodeInvalid, Detail: "a parameter is not valid",
		Fields: []resource.FieldError{{Pointer: "/query/" + name, Detail: detail}},
	}
}

func (s *Server) listOperation(k resource.Kind, path string) huma.Operation {
	list := &huma.Schema{
		Type: huma.TypeObject, Required: []string{"items", "revision"},
		Properties: map[string]*huma.Schema{
			"items":    {Type: huma.TypeArray, Items: s.kindSchema(k.Name)},
			"revision": {Type: huma.TypeInteger, Format: "int64", Description: "Watch after this one to miss nothing."},
			"continue": {Type: huma.TypeString, Description: "Ask for the next page with it; absent on the last."},
		},
	}
	op := huma.Operation{
		OperationID: "list" + k.Name, Method: http.MethodGet, Path: path, Tags: []string{k.Name},
		Summary:     "List or watch " + k.Plural,
		Description: "With `watch=true` the answer is a stream of server-sent events: `id` is the revision, `event` is `put` or `delete`, `data` the document (of a deleted one its last content). A document that no longer has the labels asked for is a `delete`. An event `error` with a problem ends the stream; comments show that it lives.",
		Responses:   answers("200", "A page of documents, or their changes.", list), Errors: []int{410},
	}
	op.Responses["200"].Content["text/event-stream"] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	return op
}

// list answers a page, or begins a watch.
func (s *Server) list(ctx context.Context, kind string, in *listInput) (func(huma.Context), error) {
	f, err := newFilter(ctx, kind, in)
	if err != nil {
		return nil, err
	}
	if in.Watch {
		return s.watch(ctx, f, in)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	page, err := s.page(ctx, f, in.Limit, in.Continue)
	if err != nil {
		return nil, err
	}
	return func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", "application/json")
		ctx.SetStatus(http.StatusOK)
		enc := json.NewEncoder(ctx.BodyWriter())
		enc.SetEscapeHTML(false)
		_ = enc.Encode(page) // the client has gone; there is nobody else to tell
	}, nil
}

// page lists up to limit documents that the caller may see. The store knows no
// scopes, so its pages are asked for until ours is full.
func (s *Server) page(ctx context.Context, f filter, limit int, from string) (List, error) {
	page := List{Items: []resource.Document{}}
	for {
		o := store.ListOptions{Owner: f.owner, Labels: f.labels, Continue: from}
		if limit > 0 {
			o.Limit = limit - len(page.Items)
		}
		l, err := s.Store.List(ctx, f.kind, o)
		if err != nil {
			return page, err
		}
		if page.Revision == 0 {
			page.Revision = l.Revision
		}
		for _, d := range l.Items {
			if f.covers(d) {
				page.Items = append(page.Items, visible(d))
			}
		}
		if from = l.Continue; from == "" || limit > 0 && len(page.Items) >= limit {
			page.Continue = from
			return page, nil
		}
	}
}
