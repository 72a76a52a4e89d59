package api

import (
	"testing"

	"github.com/droverhq/drover/internal/resource"
)

func TestOnlyScalingInMayUseTheReserve(t *testing.T) {
	for name, c := range map[string]struct {
		kind, old, new string
		want           bool
	}{
		"lower capacity":  {resource.KindScaleSet, `{"image":"a:1.0.0","capacity":3}`, `{"capacity":1,"image":"a:1.0.0"}`, true},
		"the same":        {resource.KindScaleSet, `{"image":"a:1.0.0","capacity":3}`, `{"image":"a:1.0.0","capacity":3}`, true},
		"higher capacity": {resource.KindScaleSet, `{"image":"a:1.0.0","capacity":3}`, `{"image":"a:1.0.0","capacity":4}`, false},
		"another image":   {resource.KindScaleSet, `{"image":"a:1.0.0","capacity":3}`, `{"image":"a:2.0.0","capacity":1}`, false},
		"other balancer":  {resource.KindLoadBalancer, `{"listen":"127.0.0.1:1"}`, `{"listen":"127.0.0.1:2"}`, false},
		"same balancer":   {resource.KindLoadBalancer, `{"listen":"127.0.0.1:1"}`, `{"listen":"127.0.0.1:1"}`, true},
	} {
		old := resource.Document{Meta: resource.Meta{Kind: c.kind, Name: "x"}, Spec: []byte(c.old)}
		now := resource.Document{Meta: resource.Meta{Kind: c.kind, Name: "x"}, Spec: []byte(c.new)}
		if got := scalesIn(old, now); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
