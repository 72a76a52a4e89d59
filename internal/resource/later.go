package resource

// laterKinds are kinds that the documents' reference names and this version does not have yet.
var laterKinds = []string{
	"ImageTemplate", "Topic", "EventSubscription", "Queue", "Function", "Runbook", "Job", "Alert", "Secret",
	"RoleAssignment", "Relay", "GitSource", "App", "Site", "Install", "Release",
}
