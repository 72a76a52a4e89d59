package api

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed pages/*.html
var pageFiles embed.FS

// pages never change while the server runs.
type pages struct {
	openapi, docs, home []byte
}

// routePages adds what is read by people and tools, behind the gate like everything else.
func (s *Server) routePages() {
	page := func(path, contentType string, content func() []byte) {
		s.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = w.Write(content()) // the client may be gone
		})
	}
	page("/openapi.json", "application/vnd.oai.openapi+json; charset=utf-8", func() []byte { return s.pages.openapi })
	page("/docs", "text/html; charset=utf-8", func() []byte { return s.pages.docs })
	page("/{$}", "text/html; charset=utf-8", func() []byte { return s.pages.home })
	s.mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if err := allow(r.Context(), VerbRead, "", ""); err != nil {
			s.writeProblem(w, r, err)
			return
		}
		s.meter.handler.ServeHTTP(w, r)
	})
}

// renderPages makes the pages from the finished OpenAPI document. They are
// plain HTML without scripts: nothing is loaded, from here or elsewhere.
func (s *Server) renderPages() error {
	api := s.api.OpenAPI()
	var err error
	if s.pages.openapi, err = json.Marshal(api); err != nil {
		return fmt.Errorf("encode the OpenAPI document: %w", err)
	}
	t, err := template.New("").Funcs(template.FuncMap{"typeOf": typeOf, "component": component}).ParseFS(pageFiles, "pages/*.html")
	if err != nil {
		return fmt.Errorf("read the pages: %w", err)
	}
	if s.pages.docs, err = render(t, "docs.html", reference(api)); err != nil {
		return err
	}
	s.pages.home, err = render(t, "home.html", api.Info)
	return err
}

func render(t *template.Template, name string, data any) ([]byte, error) {
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, name, data); err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// docsPage is what the reference shows.
type docsPage struct {
	Info       *huma.Info
	Operations []docsOperation
	Schemas    []docsSchema
}

type docsOperation struct {
	Method, Path string
	*huma.Operation
	Body    *huma.Schema
	Answers []docsAnswer
}

type docsAnswer struct {
	Status, Description string
	Schema              *huma.Schema
}

type docsSchema struct {
	Name       string
	Schema     *huma.Schema
	Properties []docsProperty
}

type docsProperty struct {
	Name   string
	Schema *huma.Schema
}

func reference(api *huma.OpenAPI) docsPage {
	p := docsPage{Info: api.Info}
	for path, item := range api.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Put, item.Post, item.Delete} {
			if op != nil {
				p.Operations = append(p.Operations, docsOperation{
					Method: op.Method, Path: path, Operation: op, Body: bodyOf(op), Answers: answersOf(op),
				})
			}
		}
	}
	slices.SortFunc(p.Operations, func(a, b docsOperation) int { return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method) })
	for name, schema := range api.Components.Schemas.Map() {
		one := docsSchema{Name: name, Schema: schema}
		for property, s := range schema.Properties {
			one.Properties = append(one.Properties, docsProperty{property, s})
		}
		slices.SortFunc(one.Properties, func(a, b docsProperty) int { return strings.Compare(a.Name, b.Name) })
		p.Schemas = append(p.Schemas, one)
	}
	slices.SortFunc(p.Schemas, func(a, b docsSchema) int { return strings.Compare(a.Name, b.Name) })
	return p
}

func bodyOf(op *huma.Operation) *huma.Schema {
	if op.RequestBody == nil {
		return nil
	}
	return op.RequestBody.Content["application/json"].Schema
}

func answersOf(op *huma.Operation) []docsAnswer {
	var list []docsAnswer
	for status, r := range op.Responses {
		a := docsAnswer{Status: status, Description: r.Description}
		for _, media := range []string{"application/json", "application/problem+json"} {
			if m := r.Content[media]; m != nil {
				a.Schema = m.Schema
			}
		}
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b docsAnswer) int { return strings.Compare(a.Status, b.Status) })
	return list
}

// component is the name of the component that a schema refers to, or empty.
func component(s *huma.Schema) string {
	if s.Ref == "" && s.Items != nil {
		s = s.Items
	}
	return strings.TrimPrefix(s.Ref, schemaPrefix)
}

// typeOf says in a few words how a value is written.
func typeOf(s *huma.Schema) string {
	switch {
	case s.Ref != "":
		return component(s)
	case s.Type == huma.TypeArray && s.Items != nil:
		return "list of " + typeOf(s.Items)
	case len(s.Enum) > 0:
		words := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			words[i] = fmt.Sprint(v)
		}
		return strings.Join(words, " | ")
	case len(s.OneOf) > 0:
		words := make([]string, len(s.OneOf))
		for i, one := range s.OneOf {
			words[i] = typeOf(one)
		}
		return strings.Join(words, " or ")
	case s.Type == "":
		return "any"
	}
	return s.Type
}
