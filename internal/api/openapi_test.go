package api

import (
	"encoding/json"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/resource"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

type openapi struct {
	OpenAPI    string
	Info       struct{ Version string }
	Security   []map[string][]string
	Paths      map[string]map[string]operation
	Components struct {
		Schemas         map[string]map[string]any
		SecuritySchemes map[string]any
	}
}

type operation struct {
	OperationID string
	Summary     string
	Tags        []string
	Parameters  []struct{ Name, In, Description string }
	RequestBody *struct {
		Content map[string]struct{ Schema map[string]any }
	}
	Responses map[string]struct {
		Description string
		Content     map[string]struct{ Schema map[string]any }
	}
}

// TestOpenAPI reads the document back and checks what a client generator relies on.
func TestOpenAPI(t *testing.T) {
	e := newEnv(t)
	r := e.want(200, e.do("GET", "/openapi.json", readerToken, ""))
	var doc openapi
	r.decode(t, &doc)
	if doc.OpenAPI != "3.1.0" || doc.Info.Version != "1.2.3" || len(doc.Security) != 1 || doc.Components.SecuritySchemes["bearer"] == nil {
		t.Errorf("head: %+v", doc)
	}
	for _, m := range regexp.MustCompile(`"\$ref":"([^"]*)"`).FindAllStringSubmatch(string(r.body), -1) {
		if name, ok := strings.CutPrefix(m[1], schemaPrefix); !ok || doc.Components.Schemas[name] == nil {
			t.Errorf("%s refers to nothing", m[1])
		}
	}
	ids := map[string]bool{}
	for path, item := range doc.Paths {
		for method, op := range item {
			where := method + " " + path
			if op.OperationID == "" || ids[op.OperationID] || op.Summary == "" || len(op.Tags) != 1 {
				t.Errorf("%s: id %q, summary %q, tags %v", where, op.OperationID, op.Summary, op.Tags)
			}
			ids[op.OperationID] = true
			lintOperation(t, where, path, op)
		}
	}
	for _, k := range resource.Kinds {
		item := doc.Paths["/api/v1/"+k.Plural+"/{name}"]
		if len(item) != 3 || doc.Components.Schemas[k.Name] == nil {
			t.Errorf("%s is not documented", k.Name)
		}
	}
}

func lintOperation(t *testing.T, where, path string, op operation) {
	good := 0
	for status, answer := range op.Responses {
		if answer.Description == "" {
			t.Errorf("%s: %s has no description", where, status)
		}
		if status[0] == '2' {
			good++
		} else if answer.Content["application/problem+json"].Schema["$ref"] != schemaPrefix+"Problem" {
			t.Errorf("%s: %s is not a Problem", where, status)
		}
		for media, content := range answer.Content {
			if len(content.Schema) == 0 {
				t.Errorf("%s: %s %s has no schema", where, status, media)
			}
		}
	}
	if good == 0 {
		t.Errorf("%s: no good answer", where)
	}
	var inPath []string
	for _, p := range op.Parameters {
		if p.Description == "" {
			t.Errorf("%s: parameter %s has no description", where, p.Name)
		}
		if p.In == "path" {
			inPath = append(inPath, "{"+p.Name+"}")
		}
	}
	if want := regexp.MustCompile(`\{[^}]*\}`).FindAllString(path, -1); !slices.Equal(want, inPath) {
		t.Errorf("%s: path parameters %v", where, inPath)
	}
	if b := op.RequestBody; b != nil && len(b.Content["application/json"].Schema) == 0 {
		t.Errorf("%s: the body has no schema", where)
	}
}

func TestSchemas(t *testing.T) {
	e := newEnv(t)
	var doc openapi
	if err := json.Unmarshal(e.api.OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	property := func(schema, name string) map[string]any {
		p, _ := doc.Components.Schemas[schema]["properties"].(map[string]any)
		m, _ := p[name].(map[string]any)
		return m
	}
	if p := property("ScaleSetSpec", "capacity"); p["default"] != 1.0 {
		t.Errorf("capacity: %v", p)
	}
	if p := property("ScaleSetSpec", "stopTimeout"); p["type"] != "string" || p["default"] != "10s" {
		t.Errorf("stopTimeout: %v", p)
	}
	if p := property("LoadBalancerLimits", "maxHeaderBytes"); p["default"] != "64KiB" || p["oneOf"] == nil {
		t.Errorf("maxHeaderBytes: %v", p)
	}
	if p := property("InstanceStatus", "health"); len(p["enum"].([]any)) != 4 {
		t.Errorf("health: %v", p)
	}
	if p := property("ScaleSet", "status"); p["readOnly"] != true {
		t.Errorf("status: %v", p)
	}
	if doc.Components.Schemas["Backend"]["oneOf"] == nil {
		t.Errorf("backend: %v", doc.Components.Schemas["Backend"])
	}
	if strings.Contains(string(e.api.OpenAPI()), `"hash"`) || strings.Contains(string(e.api.OpenAPI()), "ErrorModel") {
		t.Error("the document shows what is not there")
	}
}

// TestPagesLoadNothing: neither from elsewhere nor from here.
func TestPagesLoadNothing(t *testing.T) {
	e := newEnv(t)
	for _, path := range []string{"/", "/docs"} {
		r := e.want(200, e.do("GET", path, readerToken, ""))
		page := string(r.body)
		for _, loads := range []string{"<script", "src=", "@import", "url(", "<link", "http://", "https://"} {
			if strings.Contains(page, loads) {
				t.Errorf("%s has %s", path, loads)
			}
		}
		if !strings.Contains(r.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: policy %q", path, r.Header.Get("Content-Security-Policy"))
		}
	}
	docs := string(e.do("GET", "/docs", readerToken, "").body)
	for _, want := range []string{"/api/v1/scalesets/{name}/rollout", "BlueGreenPolicy", "maxBodyBytes", "dryRun"} {
		if !strings.Contains(docs, want) {
			t.Errorf("the reference does not mention %s", want)
		}
	}
}

var _ io.Writer = (*lockedBuffer)(nil)
