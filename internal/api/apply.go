package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

const (
	maxApplyBody      = 8 << 20
	maxApplyDocuments = 1000
)

type applyInput struct {
	DryRun  bool   `query:"dryRun" doc:"Validate and answer what would change; nothing is written."`
	Force   bool   `query:"force" doc:"Also to models that are known to be bad, which forgets that."`
	RawBody []byte `contentType:"application/json"`
}

type applyOutput struct {
	Body Applied
}

// Applied is what an apply did, in the order of the request.
type Applied struct {
	Items    []Outcome `json:"items"`
	Revision int64     `json:"revision"`
}

func (s *Server) routeApply() {
	path := apiPrefix + "/apply"
	register(s, huma.Operation{
		OperationID: "apply", Method: http.MethodPost, Path: path, Tags: []string{"Apply"},
		Summary:      "Put many documents: all or none",
		Description:  "The body is a list of documents. They are validated and written in one transaction, in the order of their kinds, so that they may refer to each other. Errors point to `/N/…`, the Nth document counted from 0.",
		MaxBodyBytes: maxApplyBody + 1, Errors: []int{404, 409, 413, 507},
	}, s.apply)
	s.setBody(path, http.MethodPost, &huma.Schema{Type: huma.TypeArray, Items: s.schemaOf(resource.Document{})})
}

func (s *Server) apply(ctx context.Context, in *applyInput) (*applyOutput, error) {
	c := callOf(ctx)
	c.dryRun, c.force = in.DryRun, in.Force
	documents, err := s.decodeAll(ctx, bytes.Clone(in.RawBody))
	if err != nil {
		return nil, err
	}
	out := &applyOutput{Body: Applied{Items: make([]Outcome, len(documents))}}
	out.Body.Revision, err = s.Store.Update(s.room(ctx, documents...), func(tx *store.Tx) error {
		err := s.applyIn(tx, documents, out.Body.Items, PutRequest{Force: in.Force, DryRun: in.DryRun, By: c.who})
		if err == nil && in.DryRun {
			return errDryRun
		}
		return err
	})
	if errors.Is(err, errDryRun) {
		out.Body.Revision, err = s.Store.Revision(), nil
	}
	if err != nil {
		return nil, err
	}
	for _, o := range out.Body.Items {
		if o.Action != ActionUnchanged {
			c.touched = append(c.touched, o.Kind+" "+o.Name)
		}
	}
	return out, nil
}

// applyIn puts all documents, then checks them beside each other, and collects
// what is wrong with any of them.
func (s *Server) applyIn(tx *store.Tx, documents []resource.Document, out []Outcome, r PutRequest) error {
	order := inOrder(documents)
	err := each(order, func(i int) (err error) {
		out[i], err = s.putIn(tx, documents[i], match{}, r)
		return err
	})
	if err != nil {
		return err
	}
	return each(order, func(i int) error { return s.checkIn(tx, &out[i]) })
}

// each does f for every index and collects the errors.
func each(order []int, f func(i int) error) error {
	var bad problems
	for _, i := range order {
		if err := f(i); !bad.add(i, err) {
			return err
		}
	}
	return bad.err()
}

// inOrder are the indexes of the documents in the order of their kinds.
func inOrder(documents []resource.Document) []int {
	rank := map[string]int{}
	for i, k := range resource.Kinds {
		rank[k.Name] = i
	}
	order := make([]int, len(documents))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return rank[documents[a].Kind] - rank[documents[b].Kind] })
	return order
}

// decodeAll reads the list and checks each document and the right to write it.
func (s *Server) decodeAll(ctx context.Context, body []byte) ([]resource.Document, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, resource.Errorf(resource.CodeInvalid, "the body is not a JSON list of documents: %v", err)
	}
	if len(raw) > maxApplyDocuments {
		return nil, resource.Errorf(resource.CodeTooLarge, "%d documents at once are more than %d", len(raw), maxApplyDocuments)
	}
	var bad problems
	documents := make([]resource.Document, len(raw))
	first := map[string]int{}
	for i, text := range raw {
		var err error
		if documents[i], err = decodeOne(ctx, text); err == nil {
			err = s.checkHostFiles(ctx, documents[i])
		}
		if !bad.add(i, err) {
			return nil, err
		}
		if err != nil {
			continue
		}
		key := documents[i].Kind + " " + documents[i].Name
		if at, twice := first[key]; twice {
			bad.field(i, "/name", key+" is also document "+strconv.Itoa(at))
		}
		first[key] = i
	}
	return documents, bad.err()
}

func decodeOne(ctx context.Context, text []byte) (resource.Document, error) {
	if len(text) > maxBody {
		return resource.Document{}, resource.Errorf(resource.CodeTooLarge, "the document is larger than %s", resource.Bytes(maxBody))
	}
	d, err := resource.Decode("", text)
	if err != nil {
		return d, err
	}
	return d, allow(ctx, VerbWrite, d.Kind, d.Name)
}

// problems collects the errors of several documents into one. Its code is the
// first one's: that is the one to solve first.
type problems struct {
	code   resource.Code
	detail string
	fields []resource.FieldError
}

// add notes what is wrong with document i. It reports false for what is nobody's
// fault: that is returned as it is.
func (p *problems) add(i int, err error) bool {
	if err == nil {
		return true
	}
	e, ok := errors.AsType[*resource.Error](err)
	if !ok {
		return false
	}
	if len(e.Fields) == 0 {
		p.field(i, "", e.Detail)
	}
	for _, f := range e.Fields {
		p.field(i, f.Pointer, f.Detail)
	}
	if len(p.fields) > 0 && p.code == "" {
		p.code, p.detail = e.Code, e.Detail
	}
	return true
}

func (p *problems) field(i int, pointer, detail string) {
	const most = 100
	if len(p.fields) < most {
		p.fields = append(p.fields, resource.FieldError{Pointer: "/" + strconv.Itoa(i) + pointer, Detail: detail})
	}
}

func (p *problems) err() error {
	if len(p.fields) == 0 {
		return nil
	}
	if p.code == "" {
		p.code, p.detail = resource.CodeInvalid, "the documents are not valid"
	}
	return &resource.Error{Code: p.code, Detail: p.detail, Fields: p.fields}
}
