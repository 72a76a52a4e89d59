package resource

import (
	"slices"
	"strings"
)

// Kind describes a kind of document for the API and the command line.
type Kind struct {
	Name   string // ScaleSet
	Plural string // scalesets: the path segment under /api/v1/
	Short  []string
	// ReadOnly says how such a document comes to be when users do not write it themselves.
	ReadOnly string
}

// Kinds are the kinds that this version knows, in the order they are applied.
var Kinds = []Kind{
	{KindToken, "tokens", nil, ""},
	{KindImage, "images", nil, ""},
	{KindImageVersion, "imageversions", nil, ""},
	{KindScaleSet, "scalesets", []string{"set", "sets"}, ""},
	{KindLoadBalancer, "loadbalancers", []string{"lb", "lbs"}, ""},
	{KindInstance, "instances", nil, "its ScaleSet makes it; scale that"},
	{KindRollout, "rollouts", nil, "start it with `drover rollout start`"},
}

// LookupKind finds a kind by its name, its plural or a short name, in any case.
func LookupKind(s string) (Kind, error) {
	for _, k := range Kinds {
		if strings.EqualFold(s, k.Name) || strings.EqualFold(s, k.Plural) || slices.Contains(k.Short, strings.ToLower(s)) {
			return k, nil
		}
	}
	for _, later := range laterKinds {
		if strings.EqualFold(s, later) || strings.EqualFold(s, later+"s") {
			return Kind{}, Errorf(CodeUnsupported, "kind %s is not yet supported", later)
		}
	}
	names := make([]string, len(Kinds))
	for i, k := range Kinds {
		names[i] = k.Name
	}
	if near := nearest(s, names); near != "" {
		return Kind{}, Errorf(CodeInvalid, "there is no kind %s; did you mean %s?", quote(s), near)
	}
	return Kind{}, Errorf(CodeInvalid, "there is no kind %s; there are %s", quote(s), strings.Join(names, ", "))
}
