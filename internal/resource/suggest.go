package resource

import "strings"

// nearest returns the candidate that s is most likely a slip of, or "".
func nearest(s string, candidates []string) string {
	const longest = 64 // no field's name is longer, and the cost grows with the square
	if len(s) > longest {
		return ""
	}
	best, least := "", 1+max(1, min(3, len(s)/3))
	for _, c := range candidates {
		if d := editDistance(strings.ToLower(s), strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	return best
}

// editDistance counts the insertions, deletions and replacements between a and b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
