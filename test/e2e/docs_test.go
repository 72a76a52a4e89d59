package e2e

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/client"
)

var update = flag.Bool("update", false, "write docs/reference/cli.md anew")

const repository = "../.."

// documentation lists every Markdown file of the repository.
func documentation(t *testing.T) []string {
	t.Helper()
	var files []string
	check(t, filepath.WalkDir(repository, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && strings.HasPrefix(e.Name(), ".") && path != repository:
			return filepath.SkipDir
		case strings.HasSuffix(path, ".md"):
			files = append(files, path)
		}
		return nil
	}))
	if len(files) < 5 {
		t.Fatalf("found only %v", files)
	}
	return files
}

var (
	link       = regexp.MustCompile(`\[([^\]]*)\]\(([^)\s]+)\)`)
	testName   = regexp.MustCompile(`^Test[A-Z]\w+$`)
	code       = regexp.MustCompile("(?ms)^```.*?^```|`[^`\n]*`")
	heading    = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	notInSlugs = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// Every relative link leads to a file, every anchor to a heading, and where the
// link's text names a test, that test is in the file.
func TestLinksOfTheDocumentation(t *testing.T) {
	for _, file := range documentation(t) {
		text, err := os.ReadFile(file)
		check(t, err)
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(string(text), ""), -1) {
			if strings.Contains(m[2], "://") {
				continue
			}
			if err := resolves(file, m[1], m[2]); err != nil {
				t.Errorf("%s: %s: %v", file, m[0], err)
			}
		}
	}
}

func resolves(file, text, target string) error {
	path, anchor, _ := strings.Cut(target, "#")
	to := file
	if path != "" {
		to = filepath.Join(filepath.Dir(file), path)
	}
	info, err := os.Stat(to)
	if err != nil || info.IsDir() {
		return err
	}
	content, err := os.ReadFile(to)
	if err != nil {
		return err
	}
	if testName.MatchString(text) && !strings.Contains(string(content), "\nfunc "+text+"(t ") {
		return fmt.Errorf("%s has no such test", to)
	}
	if anchor != "" && strings.HasSuffix(to, ".md") && !slices.Contains(anchors(string(content)), anchor) {
		return fmt.Errorf("%s has no such heading", to)
	}
	return nil
}

// anchors are what a heading is linked by: in lower case, hyphens for spaces,
// and without punctuation.
func anchors(text string) (list []string) {
	for _, m := range heading.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
		slug := notInSlugs.ReplaceAllString(strings.ToLower(m[1]), "")
		list = append(list, strings.ReplaceAll(slug, " ", "-"))
	}
	return list
}

// The reference of the commands is their own help.
func TestCommandReference(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Commands\n\n" +
		"<!-- Written by `go test ./test/e2e -run TestCommandReference -update`; do not edit. -->\n\n" +
		"This is what `drover COMMAND --help` prints, without the flags that say [which server](README.md#which-server) is meant.\n")
	writeHelp(t, &b)
	path := filepath.Join(repository, "docs", "reference", "cli.md")
	if *update {
		check(t, os.WriteFile(path, []byte(b.String()), 0o644))
	}
	have, err := os.ReadFile(path)
	check(t, err)
	if string(have) != b.String() {
		t.Errorf("%s is not what the commands say: go test ./test/e2e -run TestCommandReference -update", path)
	}
}

// connectionFlags are described once.
var connectionFlags = regexp.MustCompile(`^ +(-h, )?--(ca-file|ca-pin|server|token-file|help)\b`)

func writeHelp(t *testing.T, b *strings.Builder, command ...string) {
	t.Helper()
	out, err := exec.Command(drover, append(slices.Clone(command), "--help")...).CombinedOutput()
	check(t, err)
	help := strings.NewReplacer(client.DefaultData(), "/var/lib/drover",
		runtime.GOOS+"/"+runtime.GOARCH, "linux/amd64").Replace(string(out))
	var lines, below []string
	listing := false
	for line := range strings.SplitSeq(help, "\n") {
		title := strings.HasSuffix(line, ":") && !strings.HasPrefix(line, " ")
		switch {
		case title:
			listing = line == "Server:" || line == "Documents:" || line == "Day to day:" || line == "Available Commands:"
		case listing && line != "":
			below = append(below, strings.Fields(line)[0])
		}
		if !connectionFlags.MatchString(line) && !strings.HasPrefix(line, "Use \"drover") {
			lines = append(lines, strings.TrimRight(line, " "))
		}
	}
	text := strings.Join(lines, "\n")
	for _, empty := range []string{"Flags:\n\n", "Global Flags:\n      --data folder         data folder of a server on this machine (DROVER_DATA; else /var/lib/drover)\n"} {
		text = strings.ReplaceAll(text+"\n", "\n"+empty, "\n")
	}
	fmt.Fprintf(b, "\n## drover%s\n\n```\n%s\n```\n", strings.Join(append([]string{""}, command...), " "), strings.TrimSpace(text))
	for _, name := range below {
		writeHelp(t, b, append(slices.Clone(command), name)...)
	}
}
