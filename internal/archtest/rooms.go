package archtest

import "strings"

// room is a folder with all below it, up to the next room.
type room struct {
	path string
	// may is what its shipped files import of this module beside the room itself.
	may []string
	why string
	// stdlib: nothing from outside the standard library either.
	stdlib bool
	// helper: it is there for tests, and only tests and other helpers import it.
	helper bool
	// private names who alone may import it; nil: whoever has it in may.
	private []string
}

const anyRoom = "*"

const (
	whySubsystem = "subsystems meet in the store and never import each other; for an immediate answer, declare an interface in ports.go and let internal/app connect it"
	whyDataPlane = "the gateway's process serves traffic while the control process is down: it knows snapshots, not documents in a store"
	whyClient    = "the command line and the sites are clients like any other: what they need is in the HTTP API"
	whyHelper    = "a test helper has no place in what is shipped"
)

// rooms is the arrows of the architecture. A package belongs to the room with
// the longest path.
var rooms = []room{
	{path: "cmd/drover", may: []string{"internal/app", "internal/cli", "internal/demo"}, why: "the command picks what to run and owns os.Exit: a few lines, nothing to test", private: []string{}},
	{path: "internal/app", may: []string{anyRoom}, why: "app builds everything and is built by nobody but the commands", private: []string{"cmd/drover", "internal/demo"}},

	{path: "internal/resource", stdlib: true, why: "documents are plain data that every room and every client shares: they depend on the standard library only"},
	{path: "internal/store", may: []string{"internal/resource"}, why: "the store keeps any document and knows no subsystem"},
	{path: "internal/reconcile", may: []string{"internal/store", "internal/resource"}, why: "the loop knows keys and changes, never what a subsystem does with them"},

	{path: "internal/gateway", may: []string{"internal/gateway/socket", "internal/resource"}, why: whyDataPlane},
	{path: "internal/gateway/socket", why: "it hands bytes to the kernel by unsafe means: so little that all of it can be read", private: []string{"internal/gateway"}},
	{path: "internal/gateway/control", may: []string{"internal/gateway/wire", "internal/reconcile", "internal/store", "internal/resource"}, why: "the control process speaks with the gateway over its socket alone, so that either can be killed; " + whySubsystem},
	{path: "internal/compute", may: []string{"internal/compute/sandbox", "internal/reconcile", "internal/store", "internal/resource"}, why: whySubsystem},
	{path: "internal/compute/sandbox", may: []string{"internal/resource"}, why: "the launcher becomes the workload: it must not carry more than it needs"},
	{path: "internal/fleet", may: []string{"internal/reconcile", "internal/store", "internal/resource"}, why: whySubsystem},
	{path: "internal/gallery", may: []string{"internal/reconcile", "internal/store", "internal/resource"}, why: whySubsystem},
	{path: "internal/identity", may: []string{"internal/reconcile", "internal/store", "internal/resource"}, why: whySubsystem},

	{path: "internal/api", may: []string{"internal/store", "internal/resource"}, why: "the API writes documents; what it asks of a subsystem is a small interface of its own that internal/app connects"},
	{path: "internal/client", may: []string{"internal/resource"}, why: whyClient},
	{path: "internal/cli", may: []string{"internal/client", "internal/resource"}, why: whyClient},

	{path: "internal/demo", may: []string{"internal/app", "internal/client", "internal/load", "internal/resource"}, why: "the demo is a user of a server that it started"},
	{path: "internal/load", may: []string{"internal/resource"}, why: "the load generator judges the gateway from outside"},
	{path: "internal/sample", may: []string{"internal/load"}, why: "a workload knows only what a request of the load generator carries"},

	{path: "internal/archtest", why: "rules about packages import none of them", helper: true},
	{path: "internal/testtool", stdlib: true, why: whyHelper, helper: true},
	{path: "internal/store/storetest", may: []string{"internal/store", "internal/resource", "internal/testtool"}, why: whyHelper, helper: true},
	{path: "internal/compute/computetest", may: []string{"internal/compute", "internal/resource", "internal/testtool"}, why: whyHelper, helper: true},
	{path: "test", may: []string{"internal/client", "internal/load", "internal/sample", "internal/resource", "internal/testtool"}, why: "the stories use the real binary from outside", helper: true},
	{path: "bench", may: []string{anyRoom}, why: "benchmarks measure what is shipped", helper: true},
	{path: "examples", stdlib: true, why: "an example is what a user writes, with nothing of Drover in it", private: []string{}},
}

// library says which rooms a package from outside may be used in.
type library struct {
	path  string
	rooms []string
	why   string
}

var libraries = []library{
	{"testing", nil, whyHelper},
	{"pgregory.net/rapid", nil, whyHelper},
	{"github.com/anishathalye/porcupine", nil, whyHelper},
	{"github.com/google/go-cmp", nil, whyHelper},
	{"github.com/rogpeppe/go-internal", nil, whyHelper},
	{"go.uber.org/goleak", nil, whyHelper},
	{"google.golang.org/grpc", nil, "the gateway passes calls on without knowing any; whoever makes some tests that"},

	{"database/sql", []string{"internal/store"}, "SQL is the store's alone: whoever else speaks it goes round revisions and watches"},
	{"modernc.org/sqlite", []string{"internal/store"}, "SQL is the store's alone: whoever else speaks it goes round revisions and watches"},
	{"github.com/pressly/goose", []string{"internal/store"}, "migrations are the store's"},
	{"github.com/danielgtaylor/huma", []string{"internal/api"}, "the API's framework stays behind the API"},
	{"github.com/prometheus", []string{"internal/api", "internal/app"}, "subsystems give figures; only the edge knows how they are scraped"},
	{"github.com/distribution/distribution", []string{"internal/gallery"}, "the registry server stays behind the gallery"},
	{"github.com/google/go-containerregistry", []string{"internal/client"}, "the registry's client stays behind the client"},
	{"github.com/goccy/go-yaml", []string{"internal/client", "internal/cli"}, "the server reads JSON; YAML with its positions is the client's"},
	{"github.com/spf13/cobra", []string{"internal/cli", "internal/demo", "internal/app"}, "flags and commands stop at the command line"},
	{"github.com/vbauerster/mpb", []string{"internal/cli", "internal/demo"}, "only the command line draws"},
	{"math/rand", []string{}, "use math/rand/v2 for spreading, crypto/rand for anything that is guessed at"},
	{"io/ioutil", []string{}, "io and os have it"},
	{"unsafe", []string{"internal/gateway/socket"}, "memory safety is what the data plane stands on"},
	{"C", []string{}, "`go run` has to work on a machine with nothing but Go"},
}

// vague are names that say nothing of what a package holds.
var vague = []string{"util", "utils", "helper", "helpers", "common", "manager", "managers", "misc", "shared", "types", "base"}

func roomOf(pkg string) (room, bool) {
	var best room
	found := false
	for _, r := range rooms {
		if within(pkg, r.path) && (!found || len(r.path) > len(best.path)) {
			best, found = r, true
		}
	}
	return best, found
}

// within says whether a package is the folder or below it.
func within(pkg, folder string) bool {
	rest, ok := strings.CutPrefix(pkg, folder)
	return ok && (rest == "" || rest[0] == '/')
}

func withinAny(pkg string, folders []string) bool {
	for _, f := range folders {
		if f == anyRoom || within(pkg, f) {
			return true
		}
	}
	return false
}
