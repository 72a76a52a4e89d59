package e2e

import (
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
)

// Fields that a later version brings are refused as not yet supported, by name.
func TestFieldsOfLaterVersionsAreRefused(t *testing.T) {
	s := startBeside(t)
	for field, line := range map[string]string{
		"/spec/zones":                               "zones: ['1', '2']",
		"/spec/faultDomainCount":                    "faultDomainCount: 5",
		"/spec/scaleInPolicy":                       "scaleInPolicy: {rules: [Default]}",
		"/spec/automaticRepairsPolicy":              "automaticRepairsPolicy: {enabled: true}",
		"/spec/autoscale":                           "autoscale: {profiles: []}",
		"/spec/health/mode":                         "health: {mode: rich}",
		"/spec/upgradePolicy/mode":                  "upgradePolicy: {mode: Rolling}",
		"/spec/upgradePolicy/rollingUpgradePolicy":  "upgradePolicy: {rollingUpgradePolicy: {maxSurge: true}}",
		"/spec/upgradePolicy/automaticImageUpgrade": "upgradePolicy: {automaticImageUpgrade: {enable: true}}",
	} {
		_, err := s.put("kind: ScaleSet\nname: later\nspec:\n  image: w:1.0.0\n  "+line+"\n", client.ApplyOptions{})
		refused(t, err, resource.CodeUnsupported, field, "not yet supported")
	}
	_, errs, code := s.drover("get", "queues")
	if code == 0 || !strings.Contains(errs, "not yet supported") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	for _, kind := range []string{resource.KindScaleSet, resource.KindLoadBalancer} {
		if _, err := s.client.Get(s.ctx(), kind, "later"); !resource.IsCode(err, resource.CodeNotFound) {
			t.Errorf("a refused %s is there: %v", kind, err)
		}
	}
}
