package archtest

import (
	"fmt"
	"go/ast"
	"maps"
	"strings"
)

// calls finds what ends the process or skips a test where it must not. It is an
// ast.Visitor that knows which names are a test's own in the function it is in:
// *rapid.T has a Skip too, that only draws again.
type calls struct {
	source
	tests  map[string]bool
	outer  *calls
	broken []string
}

func (c *calls) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.FuncDecl:
		return c.inside(n.Type)
	case *ast.FuncLit:
		return c.inside(n.Type)
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.SelectorExpr); ok {
			if on, ok := f.X.(*ast.Ident); ok {
				c.judge(n, on.Name, f.Sel.Name)
			}
		}
	}
	return c
}

func (c *calls) inside(f *ast.FuncType) *calls {
	in := &calls{source: c.source, tests: maps.Clone(c.tests), outer: c}
	if in.tests == nil {
		in.tests = map[string]bool{}
	}
	for _, p := range f.Params.List {
		for _, name := range p.Names {
			in.tests[name.Name] = isTesting(p.Type)
		}
	}
	return in
}

// isTesting says whether a type is testing.TB, *testing.T or one of its kin.
func isTesting(t ast.Expr) bool {
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	sel, ok := t.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := sel.X.(*ast.Ident)
	return ok && pkg.Name == "testing"
}

func (c *calls) judge(call ast.Node, on, name string) {
	where, _ := roomOf(c.pkg())
	mayExit := c.test() || where.helper || c.file.Name.Name == "main"
	ends := on == "os" && name == "Exit" || on == "log" && strings.HasPrefix(name, "Fatal")
	if ends && !mayExit {
		c.say(call, "%s.%s: only a command ends the process, after everything was cleaned up: return an error", on, name)
	}
	if strings.HasPrefix(name, "Skip") && c.tests[on] && c.pkg() != "internal/testtool" {
		c.say(call, "%s.%s: the only skip is testtool.Require, which fails where everything has to be there", on, name)
	}
}

func (c *calls) say(n ast.Node, format string, a ...any) {
	for c.outer != nil {
		c = c.outer
	}
	c.broken = append(c.broken, c.at(n.Pos())+": "+fmt.Sprintf(format, a...))
}
