package api

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// errDryRun rolls a dry run back.
var errDryRun = errors.New("dry run")

// Action is what a put does to a document.
type Action string

const (
	ActionCreate    Action = "create"
	ActionUpdate    Action = "update"
	ActionUnchanged Action = "unchanged"
)

// Outcome is what putting one document does.
type Outcome struct {
	Kind     string   `json:"kind"`
	Name     string   `json:"name"`
	Action   Action   `json:"action" enum:"create,update,unchanged"`
	Changes  []Change `json:"changes" doc:"What differs in labels, annotations and spec."`
	Rollout  bool     `json:"rollout" doc:"Whether it starts a rollout."`
	Warnings []string `json:"warnings"`

	document resource.Document
	rollout  string
}

type putInput struct {
	Name        string `path:"name" doc:"The document's name; a / in it is written %2F."`
	IfMatch     string `header:"If-Match" maxLength:"40" doc:"Only over this revision, else 412. * for any: it must exist."`
	IfNoneMatch string `header:"If-None-Match" enum:"*" doc:"Only if there is none, else 412."`
	DryRun      bool   `query:"dryRun" doc:"Validate and answer what would change; nothing is written."`
	Force       bool   `query:"force" doc:"Also to a model that is known to be bad, which forgets that."`
	RawBody     []byte `contentType:"application/json"`
}

type putOutput struct {
	Status   int
	ETag     string   `header:"ETag" doc:"The revision, for If-Match."`
	Rollout  string   `header:"Drover-Rollout" doc:"The name of the rollout that it started."`
	Warnings []string `header:"Warning" doc:"299 drover \"TEXT\": what a careful person would want to know."`
	Body     any
}

func (s *Server) routePut(k resource.Kind, path string, schema *huma.Schema) {
	result := &huma.Schema{OneOf: []*huma.Schema{schema, s.schemaOf(Outcome{})}}
	op := huma.Operation{
		OperationID: "put" + k.Name, Method: http.MethodPut, Path: path, Tags: []string{k.Name},
		Summary:     "Create or replace one " + k.Name,
		Description: "With `dryRun=true` the answer is what would change. " + putNote(k.Name),
		Responses:   answers("200", "The document as it is now; with dryRun what would change.", result),
		Errors:      []int{404, 409, 412, 413, 507},
	}
	op.Responses["201"] = &huma.Response{
		Description: "The document, made new.",
		Content:     map[string]*huma.MediaType{"application/json": {Schema: schema}},
	}
	register(s, op, func(ctx context.Context, in *putInput) (*putOutput, error) {
		return s.put(ctx, k.Name, in)
	})
	s.setBody(path, http.MethodPut, schema)
}

func (s *Server) put(ctx context.Context, kind string, in *putInput) (*putOutput, error) {
	c := callOf(ctx)
	c.dryRun, c.force = in.DryRun, in.Force
	if err := may(ctx, VerbWrite, kind, in.Name); err != nil {
		return nil, err
	}
	match, err := parseMatch(in.IfMatch, in.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	d, err := decodeNamed(in.RawBody, kind, in.Name)
	if err != nil {
		return nil, err
	}
	if err := s.checkHostFiles(ctx, d); err != nil {
		return nil, err
	}
	var o Outcome
	_, err = s.Store.Update(s.room(ctx, d), func(tx *store.Tx) error {
		o, err = s.putIn(tx, d, match, PutRequest{Force: in.Force, DryRun: in.DryRun, By: c.who})
		if err == nil {
			err = s.checkIn(tx, &o)
		}
		if err == nil && in.DryRun {
			return errDryRun
		}
		return err
	})
	if err != nil && !errors.Is(err, errDryRun) {
		return nil, err
	}
	return putAnswer(o, in.DryRun), nil
}

func putAnswer(o Outcome, dryRun bool) *putOutput {
	if dryRun {
		return &putOutput{Status: http.StatusOK, Body: o}
	}
	out := &putOutput{Status: http.StatusOK, ETag: etag(o.document.Revision), Rollout: o.rollout, Body: visible(o.document)}
	if o.Action == ActionCreate {
		out.Status = http.StatusCreated
	}
	for _, w := range o.Warnings {
		out.Warnings = append(out.Warnings, warning(w))
	}
	return out
}

// warning is a Warning header: code, who, quoted text. A header is one line of ASCII.
func warning(text string) string {
	return "299 drover " + strconv.QuoteToASCII(strings.Join(strings.Fields(text), " "))
}

// decodeNamed reads a document that the URL names as well. The
// body's memory is huma's and is used again.
func decodeNamed(body []byte, kind, name string) (resource.Document, error) {
	d, err := resource.Decode(kind, bytes.Clone(body))
	if err != nil {
		return d, err
	}
	if d.Name != name {
		return d, &resource.Error{Code: resource.CodeInvalid, Detail: "the document is not the one that the URL names", Fields: []resource.FieldError{
			{Pointer: "/name", Detail: "is " + strconv.Quote(d.Name) + ", the URL says " + strconv.Quote(name)},
		}}
	}
	return d, nil
}

// match is a condition on the revision of the stored document.
type match struct {
	exists   bool
	none     bool
	revision int64 // 0: any
}

func parseMatch(ifMatch, ifNoneMatch string) (match, error) {
	m := match{none: ifNoneMatch == "*"}
	if ifMatch == "" {
		return m, nil
	}
	m.exists = true
	if ifMatch == "*" {
		return m, nil
	}
	n, err := strconv.ParseInt(strings.Trim(ifMatch, `"`), 10, 64)
	if err != nil || n < 1 {
		return m, &resource.Error{Code: resource.CodeInvalid, Detail: "a header is not valid",
			Fields: []resource.FieldError{{Pointer: "/header/If-Match", Detail: "is a document's revision, for example 42"}}}
	}
	m.revision = n
	return m, nil
}

func (m match) check(kind, name string, old *resource.Document) error {
	switch {
	case m.none && old != nil:
		return resource.Errorf(resource.CodeRevisionConflict, "%s %s exists already, at revision %d", kind, name, old.Revision)
	case m.exists && old == nil:
		return resource.Errorf(resource.CodeRevisionConflict, "%s %s does not exist", kind, name)
	case m.revision != 0 && old.Revision != m.revision:
		return resource.Errorf(resource.CodeRevisionConflict,
			"%s %s is at revision %d, not %d: somebody changed it; read it again and repeat the change", kind, name, old.Revision, m.revision)
	}
	return nil
}

// putIn puts one document inside a transaction.
func (s *Server) putIn(tx *store.Tx, d resource.Document, m match, r PutRequest) (Outcome, error) {
	old, err := existing(tx, d.Kind, d.Name)
	if err != nil {
		return Outcome{}, err
	}
	if err := m.check(d.Kind, d.Name, old); err != nil {
		return Outcome{}, err
	}
	d.Revision, d.Generation, d.Status = 0, 0, nil // the server's, whatever the client sent
	if old != nil {
		d.Status = old.Status
	}
	result, err := s.writers[d.Kind].Put(tx, old, d, r)
	if err != nil {
		return Outcome{}, err
	}
	return outcome(old, result), nil
}

// checkIn looks at a document that was put beside all others of the request.
func (s *Server) checkIn(tx *store.Tx, o *Outcome) error {
	c, ok := s.writers[o.Kind].(checker)
	if !ok {
		return nil
	}
	warnings, err := c.check(tx, o.document)
	o.Warnings = append(o.Warnings, warnings...)
	return err
}

func existing(tx *store.Tx, kind, name string) (*resource.Document, error) {
	d, err := tx.Get(kind, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &d, nil
}

func outcome(old *resource.Document, r PutResult) Outcome {
	d := r.Document
	o := Outcome{
		Kind: d.Kind, Name: d.Name, Action: ActionCreate, Rollout: r.Rollout != "",
		Warnings: append([]string{}, r.Warnings...), document: d, rollout: r.Rollout,
	}
	before := resource.Document{}
	if old != nil {
		before, o.Action = *old, ActionUpdate
		if old.Revision == d.Revision {
			o.Action = ActionUnchanged
		}
	}
	o.Changes = changes(before, d)
	return o
}
