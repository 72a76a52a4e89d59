package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/internal/resource"
)

const schemaPrefix = "#/components/schemas/"

// kindTypes are the typed documents behind the kinds.
func kindTypes() map[string]reflect.Type {
	return map[string]reflect.Type{
		resource.KindToken:        reflect.TypeFor[resource.Token](),
		resource.KindImage:        reflect.TypeFor[resource.Image](),
		resource.KindImageVersion: reflect.TypeFor[resource.ImageVersion](),
		resource.KindScaleSet:     reflect.TypeFor[resource.ScaleSet](),
		resource.KindLoadBalancer: reflect.TypeFor[resource.LoadBalancer](),
		resource.KindInstance:     reflect.TypeFor[resource.Instance](),
		resource.KindRollout:      reflect.TypeFor[resource.Rollout](),
	}
}

// schemaName names a component: a document by its kind, anything else by its type.
func schemaName(t reflect.Type, hint string) string {
	for kind, typ := range kindTypes() {
		if t == typ {
			return kind
		}
	}
	return huma.DefaultSchemaNamer(t, hint)
}

// schemaOf refers to the schema of v's type.
func (s *Server) schemaOf(v any) *huma.Schema {
	return s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(v), true, "")
}

func (s *Server) kindSchema(kind string) *huma.Schema {
	return s.api.OpenAPI().Components.Schemas.Schema(kindTypes()[kind], true, kind)
}

// setBody documents the body of an operation that decodes its raw bytes itself.
// Only a document must be there: actions do without.
func (s *Server) setBody(path, method string, schema *huma.Schema) {
	item := s.api.OpenAPI().Paths[path]
	op := item.Post
	if method == http.MethodPut {
		op = item.Put
	}
	op.RequestBody.Required = method == http.MethodPut
	op.RequestBody.Content["application/json"].Schema = schema
}

// finishSchemas tells what reflection cannot know: how values are written,
// which values there are, what is the server's, and the defaults.
func (s *Server) finishSchemas() {
	registry := s.api.OpenAPI().Components.Schemas
	delete(registry.Map(), "ErrorModel") // huma's own; every error is a Problem
	delete(registry.Map(), "ErrorDetail")
	values := valueSchemas()
	for name, schema := range registry.Map() {
		t := registry.TypeFromRef(schemaPrefix + name)
		if own := values[t]; own != nil {
			*schema = *own
			continue
		}
		annotate(schema, t, values)
	}
	for kind := range kindTypes() {
		finishKind(registry.Map()[kind])
	}
	*registry.Map()["TokenStatus"] = huma.Schema{Type: huma.TypeObject, AdditionalProperties: false} // its hash is never shown
	applyDefaults(registry, "ScaleSetSpec", resource.DefaultScaleSetSpec())
	applyDefaults(registry, "LoadBalancerSpec", resource.DefaultLoadBalancerSpec())
}

// annotate replaces the properties of a struct whose types have a schema of their own.
func annotate(schema *huma.Schema, t reflect.Type, values map[reflect.Type]*huma.Schema) {
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		property := schema.Properties[name]
		if property == nil || f.Anonymous {
			continue
		}
		base, list := f.Type, false
		for base.Kind() == reflect.Pointer || base.Kind() == reflect.Slice {
			list = list || base.Kind() == reflect.Slice
			base = base.Elem()
		}
		own := values[base]
		switch {
		case own == nil || base.Kind() == reflect.Struct: // a struct is a component, replaced as a whole
		case list:
			property.Items = own
		default:
			described := *own
			if property.Description != "" {
				described.Description = property.Description
			}
			described.Examples = append(described.Examples, property.Examples...)
			schema.Properties[name] = &described
		}
	}
}

// valueSchemas are the types that are not written as Go's reflection sees them.
func valueSchemas() map[reflect.Type]*huma.Schema {
	text := func(description string, examples ...any) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Description: description, Examples: examples}
	}
	orNumber := func(description string, examples ...any) *huma.Schema {
		return &huma.Schema{Description: description, Examples: examples, OneOf: []*huma.Schema{{Type: huma.TypeString}, {Type: huma.TypeNumber}}}
	}
	return map[reflect.Type]*huma.Schema{
		reflect.TypeFor[resource.Duration](): text("A length of time: 300ms, 30s, ISO 8601 (PT30S) or hh:mm:ss.", "30s"),
		reflect.TypeFor[resource.Bytes]():    orNumber("A number of bytes, plain or with a unit.", "256MiB"),
		reflect.TypeFor[resource.Percent]():  orNumber("A share in percent.", "5%"),
		reflect.TypeFor[resource.Backend](): {
			Description: "A ScaleSet by name, or addresses.",
			OneOf: []*huma.Schema{{Type: huma.TypeString}, {
				Type: huma.TypeObject, Required: []string{"addresses"},
				Properties: map[string]*huma.Schema{"addresses": {Type: huma.TypeArray, Items: text("HOST:PORT")}},
			}},
		},
		reflect.TypeFor[resource.UpgradeMode]():   enum("BlueGreen", "Rolling", "Manual"),
		reflect.TypeFor[resource.Health]():        enum("Initializing", "Healthy", "Unhealthy", "Unknown"),
		reflect.TypeFor[resource.Admission]():     enum("InService", "Draining", "Out"),
		reflect.TypeFor[resource.Goal]():          enum("Run", "Delete"),
		reflect.TypeFor[resource.Action]():        enum("Restart", "Reimage", "Delete"),
		reflect.TypeFor[resource.EventType]():     enum("Terminate", "Redeploy"),
		reflect.TypeFor[resource.InstancePhase](): enum("Pending", "Starting", "Running", "BackingOff", "Stopping", "Failed"),
		reflect.TypeFor[resource.RolloutPhase](): enum("Pending", "Starting", "Validating", "Shifting", "Upgrading", "Baking", "Finishing",
			"Paused", "RollingBack", "Succeeded", "RolledBack", "Cancelled", "Failed"),
		reflect.TypeFor[resource.DrainEnd](): enum("Idle", "Timeout", "Dead"),
		reflect.TypeFor[resource.Colour]():   enum("blue", "green"),
		reflect.TypeFor[resource.Role]():     enum("Reader", "Publisher", "Contributor", "Owner"),
	}
}

func enum(values ...string) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	for _, v := range values {
		s.Enum = append(s.Enum, v)
	}
	return s
}

// finishKind marks what the server adds to a document.
func finishKind(schema *huma.Schema) {
	schema.Required = []string{"kind", "name"}
	for _, name := range []string{"revision", "generation", "created", "status"} {
		if p := schema.Properties[name]; p != nil {
			p.ReadOnly = true
		}
	}
}

// applyDefaults puts the values of a spec that nothing was written in into its schema.
func applyDefaults(registry huma.Registry, name string, spec any) {
	raw, err := json.Marshal(spec)
	if err != nil {
		panic(err) // a constant of the program
	}
	setDefaults(registry, registry.Map()[name], tree(raw))
}

func setDefaults(registry huma.Registry, schema *huma.Schema, values map[string]any) {
	for name, value := range values {
		property := schema.Properties[name]
		if property == nil {
			continue
		}
		if inner, ok := value.(map[string]any); ok {
			if component := registry.SchemaFromRef(property.Ref); component != nil {
				setDefaults(registry, component, inner)
			}
			continue
		}
		// What has no value that is not written has no default, it is needed.
		if value != nil && value != "" && !slices.Contains(schema.Required, name) {
			property.Default = value
		}
	}
}
