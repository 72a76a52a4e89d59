package identity

import (
	"strings"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// Principal is who calls: a token that was authenticated.
type Principal struct {
	Name    string
	Role    resource.Role
	Scopes  []string // none: everything
	Expires *time.Time
}

// Verb is what a caller wants to do, in the words that roles are defined by.
type Verb string

const (
	Read       Verb = "read"       // get, list, watch, logs, pull
	Push       Verb = "push"       // push an image's versions
	Start      Verb = "start"      // start a rollout of a set
	Write      Verb = "write"      // create, replace, delete, every other action
	Administer Verb = "administer" // keys, backup, restore, support bundle, down
)

// Request is one thing that a caller wants to do. Owner is what the document
// belongs to (resource.OwnerOf); without it, it is read from the name where names
// say it. A request about no document (metrics, down) has no Kind or a made-up
// one: no scope covers it.
type Request struct {
	Verb  Verb
	Kind  string
	Name  string
	Owner string
}

// ownersKinds are read and written by Owners alone.
var ownersKinds = map[string]bool{
	resource.KindToken: true, "RoleAssignment": true, "Secret": true, "Invitation": true,
}

// Allowed reports whether the caller may do it: the role must reach and, for a
// caller with scopes, one of them must cover the document.
func Allowed(p Principal, r Request) bool {
	need, ok := needed(r)
	return ok && rank(p.Role) >= rank(need) && covered(p.Scopes, r)
}

// needed is the least role for a request; false: no role may.
func needed(r Request) (resource.Role, bool) {
	if ownersKinds[r.Kind] {
		return resource.RoleOwner, r.Verb == Read || r.Verb == Write
	}
	switch r.Verb {
	case Read:
		return resource.RoleReader, true
	case Push:
		return resource.RolePublisher, r.Kind == resource.KindImage || r.Kind == resource.KindImageVersion
	case Start:
		return resource.RolePublisher, r.Kind == resource.KindScaleSet || r.Kind == resource.KindRollout
	case Write:
		return resource.RoleContributor, true
	case Administer:
		return resource.RoleOwner, true
	}
	return "", false
}

// rank orders the roles; a role that is not known reaches nothing.
func rank(r resource.Role) int {
	switch r {
	case resource.RoleReader:
		return 1
	case resource.RolePublisher:
		return 2
	case resource.RoleContributor:
		return 3
	case resource.RoleOwner:
		return 4
	}
	return 0
}

const (
	imageScope    = "image/"
	scaleSetScope = "scaleset/"
)

func covered(scopes []string, r Request) bool {
	if len(scopes) == 0 {
		return true
	}
	target := target(r)
	if target == "" {
		return false
	}
	for _, s := range scopes {
		if matches(s, target) {
			return true
		}
	}
	return false
}

// target is the scope that a request's document lies in, or empty: it lies in none.
func target(r Request) string {
	prefix, owner := "", r.Owner
	switch r.Kind {
	case resource.KindImage:
		prefix, owner = imageScope, r.Name
	case resource.KindImageVersion:
		prefix = imageScope
		if image, _, ok := resource.SplitImageVersionName(r.Name); ok {
			owner = image
		}
	case resource.KindScaleSet:
		prefix, owner = scaleSetScope, r.Name
	case resource.KindInstance:
		prefix = scaleSetScope
		if set, _, ok := resource.SplitInstanceName(r.Name); ok {
			owner = set
		}
	case resource.KindRollout:
		prefix = scaleSetScope
		if set, _, ok := resource.SplitRolloutName(r.Name); ok {
			owner = set
		}
	}
	if owner == "" {
		return ""
	}
	return prefix + owner
}

// matches reports whether a scope, which may end in *, covers a target.
func matches(scope, target string) bool {
	if prefix, open := strings.CutSuffix(scope, "*"); open {
		return strings.HasPrefix(target, prefix)
	}
	return scope == target
}

// MayList reports whether a list of that kind can hold anything for the caller;
// what it holds is decided document by document with Visible.
func MayList(p Principal, kind string) bool {
	if len(p.Scopes) == 0 {
		return Allowed(p, Request{Verb: Read, Kind: kind})
	}
	prefix := ""
	switch kind {
	case resource.KindImage, resource.KindImageVersion:
		prefix = imageScope
	case resource.KindScaleSet, resource.KindInstance, resource.KindRollout:
		prefix = scaleSetScope
	default:
		return false
	}
	for _, s := range p.Scopes {
		if strings.HasPrefix(s, prefix) {
			return rank(p.Role) >= rank(resource.RoleReader)
		}
	}
	return false
}

// Visible reports whether the caller may see a document that a list or a watch holds.
func Visible(p Principal, d resource.Document) bool {
	return Allowed(p, Request{Verb: Read, Kind: d.Kind, Name: d.Name, Owner: resource.OwnerOf(d)})
}

// MayGive checks that a token gives no more than its maker holds: no higher
// role, no wider scope, no longer life.
func MayGive(p Principal, t resource.TokenSpec) error {
	switch {
	case rank(t.Role) > rank(p.Role):
		return resource.Errorf(resource.CodeForbidden, "%s is a %s and cannot give the role %s", p.Name, p.Role, t.Role)
	case len(p.Scopes) > 0 && len(t.Scopes) == 0:
		return resource.Errorf(resource.CodeForbidden, "%s holds only %s and cannot give a token without a scope", p.Name, strings.Join(p.Scopes, ", "))
	case p.Expires != nil && (t.Expires == nil || t.Expires.After(*p.Expires)):
		return resource.Errorf(resource.CodeForbidden, "%s expires at %s and cannot give a token that lives longer", p.Name, p.Expires.UTC().Format(time.RFC3339))
	}
	for _, s := range t.Scopes {
		if !within(s, p.Scopes) {
			return resource.Errorf(resource.CodeForbidden, "%s does not hold %s", p.Name, s)
		}
	}
	return nil
}

// within reports whether everything that scope covers is covered by one of held.
func within(scope string, held []string) bool {
	if len(held) == 0 {
		return true
	}
	prefix, open := strings.CutSuffix(scope, "*")
	for _, h := range held {
		if matches(h, prefix) && (!open || strings.HasSuffix(h, "*")) {
			return true
		}
	}
	return false
}
