package archtest

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// TestRepository is the test this package is for.
func TestRepository(t *testing.T) {
	sources, err := tree("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) < 100 {
		t.Fatalf("only %d files were found: this is not the repository", len(sources))
	}
	for _, s := range sources {
		for _, broken := range append(arrows(s), shape(s)...) {
			t.Error(broken)
		}
	}
	for _, broken := range undocumented(sources) {
		t.Error(broken)
	}
}

func TestArrowsThatWouldBreak(t *testing.T) {
	for _, c := range []struct{ from, to, why string }{
		{"internal/resource", "internal/store", "standard library only"},
		{"internal/resource", "golang.org/x/sys/unix", "standard library only"},
		{"internal/store", "internal/fleet", "knows no subsystem"},
		{"internal/store", "internal/reconcile", "knows no subsystem"},
		{"internal/store/sqlite", "internal/api", "knows no subsystem"},
		{"internal/reconcile", "internal/compute", "never what a subsystem does"},
		{"internal/gateway", "internal/store", "while the control process is down"},
		{"internal/gateway/proxy", "internal/store", "while the control process is down"},
		{"internal/gateway/proxy", "internal/gateway/control", "while the control process is down"},
		{"internal/gateway/socket", "internal/resource", "all of it can be read"},
		{"internal/gateway/control", "internal/gateway/socket", "over its socket alone"},
		{"internal/gateway/control", "internal/gateway/pool", "over its socket alone"},
		{"internal/gateway/control", "internal/fleet", "meet in the store"},
		{"internal/compute", "internal/gateway/control", "meet in the store"},
		{"internal/compute/process", "internal/gallery", "meet in the store"},
		{"internal/compute/sandbox", "internal/store", "must not carry more"},
		{"internal/fleet", "internal/compute", "meet in the store"},
		{"internal/gallery", "internal/identity", "meet in the store"},
		{"internal/identity", "internal/fleet", "meet in the store"},
		{"internal/acme", "internal/gateway/control", "meet in the store"},
		{"internal/api", "internal/fleet", "interface of its own"},
		{"internal/api", "internal/identity/redact", "interface of its own"},
		{"internal/client", "internal/store", "clients like any other"},
		{"internal/cli", "internal/app", "built by nobody but the commands"},
		{"internal/cli", "internal/store", "clients like any other"},
		{"internal/fleet", "internal/app", "built by nobody but the commands"},
		{"internal/demo", "internal/store", "user of a server"},
		{"internal/load", "internal/gateway", "from outside"},
		{"internal/sample", "internal/resource", "a workload knows only"},
		{"internal/app", "cmd/drover", "owns os.Exit"},
		{"cmd/drover", "internal/store", "a few lines"},
		{"internal/compute/process", "internal/compute/computetest", "no place in what is shipped"},
		{"internal/app", "internal/testtool", "no place in what is shipped"},
		{"internal/app", "internal/store/storetest", "no place in what is shipped"},
		{"test/e2e", "internal/store", "from outside"},
		{"examples/hello", "internal/load", "nothing of Drover"},
		{"internal/gadgets", "fmt", "is in no room"},
	} {
		if strings.HasPrefix(c.to, "internal/") || strings.HasPrefix(c.to, "cmd/") {
			c.to = module + "/" + c.to
		}
		requireOne(t, arrows(file(t, c.from+"/x.go", importing(c.to))), c.why)
	}
}

func TestEveryLibraryStaysWhereItIs(t *testing.T) {
	for _, l := range libraries {
		// fleet needs no library at all, so that it is outside of every list.
		requireOne(t, arrows(file(t, "internal/fleet/x.go", importing(l.path))), l.why)
		if len(l.rooms) > 0 {
			requireNone(t, arrows(file(t, l.rooms[0]+"/x.go", importing(l.path))))
		}
	}
}

func TestArrowsThatHold(t *testing.T) {
	for _, c := range []struct{ file, to string }{
		{"internal/app/app.go", module + "/internal/gateway/control"},
		{"cmd/drover/main.go", module + "/internal/cli"},
		{"internal/cli/get.go", module + "/internal/client/manifest"},
		{"internal/fleet/run.go", module + "/internal/reconcile"},
		{"internal/gateway/run.go", module + "/internal/gateway/pool"},
		{"internal/gateway/control/run.go", module + "/internal/gateway/wire"},
		{"internal/compute/process/start.go", module + "/internal/compute/sandbox"},
		{"internal/compute/process/start_test.go", module + "/internal/compute/computetest"},
		{"internal/store/store_test.go", module + "/internal/store/storetest"},
		{"internal/cli/world_test.go", module + "/internal/api"},
		{"internal/fleet/spread.go", "math/rand/v2"},
		{"internal/fleet/run_test.go", "pgregory.net/rapid"},
	} {
		requireNone(t, arrows(file(t, c.file, importing(c.to))))
	}
}

func TestTestsMayNotBuildTheServer(t *testing.T) {
	requireOne(t, arrows(file(t, "test/e2e/x_test.go", importing(module+"/internal/app"))), "built by nobody but the commands")
}

func TestShapesThatWouldBreak(t *testing.T) {
	lines := func(n int) string { return strings.Repeat("\t_ = 0\n", n) }
	for _, c := range []struct{ name, file, text, why string }{
		{"a long file", "internal/fleet/x.go", "package fleet\n" + strings.Repeat("\n", maxFileLines), "more than 600"},
		{"a long test file", "internal/fleet/x_test.go", "package fleet\n" + strings.Repeat("\n", maxFileLines), "more than 600"},
		{"a long function", "internal/fleet/x.go", "package fleet\nfunc long() {\n" + lines(maxFunctionLines) + "}\n", "long has 62 lines"},
		{"a vague name", "internal/fleet/util/x.go", "package util\n", "says nothing"},
		{"a vague name of a test", "internal/fleet/util/x_test.go", "package util_test\n", "says nothing"},
		{"a note", "internal/fleet/x.go", "package fleet\n\n// TO" + "DO: later\n", "open an issue"},
		{"an exit", "internal/fleet/x.go", "package fleet\nfunc f() { os.Exit(1) }\n", "return an error"},
		{"a fatal line", "internal/fleet/x.go", "package fleet\nfunc f() { log.Fatalf(\"\") }\n", "return an error"},
		{"a skip", "internal/fleet/x_test.go", "package fleet\nfunc TestX(t *testing.T) { t.Run(\"\", func(t *testing.T) { t.Skip() }) }\n", "the only skip"},
		{"a skip of a helper", "internal/fleet/x_test.go", "package fleet\nfunc f(tb testing.TB) { tb.Skipf(\"\") }\n", "the only skip"},
	} {
		t.Run(c.name, func(t *testing.T) { requireOne(t, shape(file(t, c.file, c.text)), c.why) })
	}
}

func TestShapesThatHold(t *testing.T) {
	for _, c := range []struct{ name, file, text string }{
		{"a function as long as it may be", "internal/fleet/x.go", "package fleet\nfunc f() {\n" + strings.Repeat("\n", maxFunctionLines-2) + "}\n"},
		{"a long story in a test", "internal/fleet/x_test.go", "package fleet\nfunc f() {\n" + strings.Repeat("\n", maxFunctionLines) + "}\n"},
		{"a command that exits", "cmd/drover/main.go", "package main\nfunc main() { os.Exit(1) }\n"},
		{"a test's own main", "internal/fleet/x_test.go", "package fleet\nfunc TestMain(m *testing.M) { os.Exit(m.Run()) }\n"},
		{"a draw that is done again", "internal/fleet/x_test.go", "package fleet\nfunc TestX(t *testing.T) { rapid.Check(t, func(t *rapid.T) { t.Skip() }) }\n"},
		{"the one skip", "internal/testtool/require.go", "package testtool\nfunc Require(t testing.TB) { t.Skipf(\"\") }\n"},
	} {
		t.Run(c.name, func(t *testing.T) { requireNone(t, shape(file(t, c.file, c.text))) })
	}
}

func TestAPackageWithoutAComment(t *testing.T) {
	bare := file(t, "internal/fleet/run.go", "package fleet\n")
	requireOne(t, undocumented([]source{bare, file(t, "internal/fleet/run_test.go", "// Package fleet is not for a test to say.\npackage fleet\n")}), "internal/fleet")
	requireNone(t, undocumented([]source{bare, file(t, "internal/fleet/doc.go", "// Package fleet keeps sets at their size.\npackage fleet\n")}))
}

// TestRoomsAreThere keeps rules from outliving what they are about.
func TestRoomsAreThere(t *testing.T) {
	sources, err := tree("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rooms {
		if !slices.ContainsFunc(sources, func(s source) bool { return within(s.pkg(), r.path) }) {
			t.Errorf("the rules speak of %s, which is not there", r.path)
		}
		if r.why == "" {
			t.Errorf("the rule of %s gives no reason", r.path)
		}
	}
}

func importing(what string) string { return fmt.Sprintf("package x\n\nimport _ %q\n", what) }

func file(t *testing.T, name, text string) source {
	t.Helper()
	s, err := parse(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := path.Dir(name); s.pkg() != got {
		t.Fatalf("%s is in %s", name, s.pkg())
	}
	return s
}

func requireOne(t *testing.T, broken []string, why string) {
	t.Helper()
	if len(broken) != 1 || !strings.Contains(broken[0], why) {
		t.Errorf("got %q, want one that says %q", broken, why)
	}
}

func requireNone(t *testing.T, broken []string) {
	t.Helper()
	if len(broken) != 0 {
		t.Errorf("got %q, want none", broken)
	}
}
