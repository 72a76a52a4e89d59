package resource

import "slices"

// laterKinds are kinds that the documents' reference names and this version does not have yet.
var laterKinds = []string{
	"ImageTemplate", "Topic", "EventSubscription", "Queue", "Function", "Runbook", "Job", "Alert", "Secret",
	"RoleAssignment", "Relay", "GitSource", "App", "Site", "Install", "Release",
}

// later is every field, and every value of a field that exists, which the
// documents' reference names and this version does not have yet. They are refused
// and never ignored: who writes one relies on it.
var later = []laterEntry{
	{KindScaleSet, "/spec/health/mode", ""},
	{KindScaleSet, "/spec/upgradePolicy/mode", string(ModeRolling)},
	{KindScaleSet, "/spec/upgradePolicy/rollingUpgradePolicy", ""},
	{KindScaleSet, "/spec/upgradePolicy/automaticImageUpgrade", ""},
	{KindScaleSet, "/spec/scaleInPolicy", ""},
	{KindScaleSet, "/spec/zones", ""},
	{KindScaleSet, "/spec/faultDomainCount", ""},
	{KindScaleSet, "/spec/automaticRepairsPolicy", ""},
	{KindScaleSet, "/spec/autoscale", ""},
	{KindInstance, "/spec/protectionPolicy", ""},
	{KindImage, "/spec/retain", ""},
}

type laterEntry struct{ kind, pointer, value string }

func laterField(kind, pointer string) bool {
	return slices.Contains(later, laterEntry{kind, pointer, ""})
}

func laterValue(kind, pointer, value string) bool {
	return value != "" && slices.Contains(later, laterEntry{kind, pointer, value})
}
