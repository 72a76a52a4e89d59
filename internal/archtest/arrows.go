package archtest

import (
	"fmt"
	"strings"
)

// arrows says which imports of a file go against the rooms.
func arrows(s source) []string {
	from, known := roomOf(s.pkg())
	if !known {
		return []string{fmt.Sprintf("%s: %s is in no room: say in internal/archtest/rooms.go what it may import, and why", s.path, s.pkg())}
	}
	var broken []string
	for _, spec := range s.file.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		why := ""
		if to, ours := strings.CutPrefix(path, module+"/"); ours {
			why = againstRoom(s, from, to)
		} else {
			why = againstLibrary(s, from, path)
		}
		if why != "" {
			broken = append(broken, fmt.Sprintf("%s: imports %s: %s", s.at(spec.Pos()), path, why))
		}
	}
	return broken
}

// againstRoom is why this import of our own is wrong, or nothing. Tests may look
// at any room, to play its part: what is shipped is what the arrows are about.
func againstRoom(s source, from room, to string) string {
	target, known := roomOf(to)
	switch {
	case known && target.path == from.path:
		return ""
	case target.private != nil && !withinAny(s.pkg(), target.private):
		return target.why
	case s.test():
		return ""
	case target.helper && !from.helper:
		return target.why
	case !withinAny(to, from.may):
		return from.why
	}
	return ""
}

func againstLibrary(s source, from room, path string) string {
	if s.test() {
		return ""
	}
	standard := !strings.Contains(strings.Split(path, "/")[0], ".")
	if from.stdlib && !standard {
		return from.why
	}
	if from.helper {
		return ""
	}
	for _, l := range libraries {
		exact := l.path == path // math/rand is not math/rand/v2
		if (exact || (strings.Contains(l.path, ".") && within(path, l.path))) && !withinAny(s.pkg(), l.rooms) {
			return l.why
		}
	}
	return ""
}
