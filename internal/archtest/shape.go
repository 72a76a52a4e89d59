package archtest

import (
	"fmt"
	"go/ast"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// What a reader can hold in mind at once.
const (
	maxFileLines     = 600
	maxFunctionLines = 60 // of what is shipped; a test may tell a long story
)

// shape says what of one file is against the habits of this repository.
func shape(s source) []string {
	var broken []string
	say := func(n ast.Node, format string, a ...any) {
		broken = append(broken, s.at(n.Pos())+": "+fmt.Sprintf(format, a...))
	}
	if name := strings.TrimSuffix(s.file.Name.Name, "_test"); slices.Contains(vague, name) {
		say(s.file.Name, "package %s says nothing of what is in it: name it after what it provides", name)
	}
	if s.lines > maxFileLines {
		say(s.file.Name, "the file has %d lines, more than %d: split it by what it is about", s.lines, maxFileLines)
	}
	for _, group := range s.file.Comments {
		if unfinished.MatchString(group.Text()) {
			say(group, "finish it or open an issue: a note in the source is read by nobody who plans")
		}
	}
	where, _ := roomOf(s.pkg())
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && !s.test() && !where.helper {
			if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; n > maxFunctionLines {
				say(f, "%s has %d lines, more than %d: give its parts names", f.Name.Name, n, maxFunctionLines)
			}
		}
	}
	v := &calls{source: s}
	ast.Walk(v, s.file)
	return append(broken, v.broken...)
}

var unfinished = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)

// undocumented are the packages without a comment that says what they promise.
func undocumented(sources []source) []string {
	said := map[string]bool{}
	for _, s := range sources {
		if !s.test() {
			said[s.pkg()] = said[s.pkg()] || s.file.Doc.Text() != ""
		}
	}
	var broken []string
	for _, pkg := range slices.Sorted(maps.Keys(said)) {
		if !said[pkg] {
			broken = append(broken, pkg+": has no package comment: say in doc.go what it promises and what a crash here would do")
		}
	}
	return broken
}
