package resource

// Kind describes a kind of document for the API and the command line.
type Kind struct {
	Name   string // ScaleSet
	Plural string // scalesets: the path segment under /api/v1/
	Short  []string
}

// Kinds are the kinds that this version knows, in the order they are applied.
var Kinds = []Kind{
	{KindToken, "tokens", nil},
	{KindImage, "images", nil},
	{KindImageVersion, "imageversions", nil},
	{KindScaleSet, "scalesets", nil},
	{KindLoadBalancer, "loadbalancers", []string{"lb"}},
	{KindInstance, "instances", nil},
	{KindRollout, "rollouts", nil},
}
