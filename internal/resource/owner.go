package resource

import (
	"encoding/json"
	"strconv"
	"strings"
)

// OwnerOf names what a document belongs to: an instance's or a rollout's set,
// an image version's image, else nothing. Names carry it as well as the
// content does, so a document too damaged to decode still has its owner.
func OwnerOf(d Document) string {
	var content struct {
		Set string `json:"set"`
	}
	switch d.Kind {
	case KindInstance:
		if json.Unmarshal(d.Status, &content) == nil && content.Set != "" {
			return content.Set
		}
		set, _, _ := SplitInstanceName(d.Name)
		return set
	case KindRollout:
		if json.Unmarshal(d.Spec, &content) == nil && content.Set != "" {
			return content.Set
		}
		set, _, _ := SplitRolloutName(d.Name)
		return set
	case KindImageVersion:
		image, _, _ := strings.Cut(d.Name, ":")
		return image
	}
	return ""
}

// RolloutName names rollout n of a set.
func RolloutName(set string, n int) string { return set + "-" + strconv.Itoa(n) }

// SplitRolloutName is the inverse of RolloutName.
func SplitRolloutName(name string) (set string, n int, ok bool) {
	i := strings.LastIndexByte(name, '-')
	if i < 0 || ValidateName(name[:i]) != nil {
		return "", 0, false
	}
	n, err := strconv.Atoi(name[i+1:])
	if err != nil || n < 0 || strconv.Itoa(n) != name[i+1:] {
		return "", 0, false
	}
	return name[:i], n, true
}
