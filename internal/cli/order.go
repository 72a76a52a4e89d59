package cli

import (
	"cmp"
	"slices"
	"strings"

	"github.com/droverhq/drover/internal/resource"
)

// sortByName puts documents in the order that people count in: hello_2 before hello_10.
func sortByName(items []resource.Document) {
	slices.SortStableFunc(items, func(a, b resource.Document) int { return compareNames(a.Name, b.Name) })
}

// compareNames compares digits as numbers and the rest as text.
func compareNames(a, b string) int {
	for a != "" && b != "" {
		x, restA := firstRun(a)
		y, restB := firstRun(b)
		order := strings.Compare(x, y)
		if isDigit(x[0]) && isDigit(y[0]) {
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			order = cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y))
		}
		if order != 0 {
			return order
		}
		a, b = restA, restB
	}
	return cmp.Compare(len(a), len(b))
}

// firstRun cuts the leading digits, or what is before the next digit.
func firstRun(s string) (run, rest string) {
	i := 1
	for i < len(s) && isDigit(s[i]) == isDigit(s[0]) {
		i++
	}
	return s[:i], s[i:]
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
