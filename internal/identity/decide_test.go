package identity

import (
	"fmt"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

var (
	roles = []resource.Role{"", resource.RoleReader, resource.RolePublisher, resource.RoleContributor, resource.RoleOwner, "Admin"}
	verbs = []Verb{Read, Push, Start, Write, Administer, "", "fly"}
	kinds = []string{
		"", resource.KindImage, resource.KindImageVersion, resource.KindScaleSet, resource.KindInstance,
		resource.KindRollout, resource.KindLoadBalancer, resource.KindToken, "Secret", "RoleAssignment", "Invitation", "Metrics",
	}
)

// allowedRoles is the table of documents.md, written out: for a kind and a verb,
// which roles without a scope may. What is not in it nobody may.
var allowedRoles = func() map[string]string {
	table := map[string]string{}
	row := func(verb Verb, roles string, kinds ...string) {
		for _, k := range kinds {
			table[string(verb)+" "+k] = roles
		}
	}
	const all, publishers, contributors, owners = "Reader Publisher Contributor Owner", "Publisher Contributor Owner", "Contributor Owner", "Owner"
	common := []string{"", "Image", "ImageVersion", "ScaleSet", "Instance", "Rollout", "LoadBalancer", "Metrics"}
	private := []string{"Token", "Secret", "RoleAssignment", "Invitation"}
	row(Read, all, common...)
	row(Write, contributors, common...)
	row(Administer, owners, common...)
	row(Push, publishers, "Image", "ImageVersion")
	row(Start, publishers, "ScaleSet", "Rollout")
	row(Read, owners, private...)
	row(Write, owners, private...)
	return table
}()

func TestAllowedByRole(t *testing.T) {
	for _, verb := range verbs {
		for _, kind := range kinds {
			for _, role := range roles {
				want := false
				for _, r := range roles[1:5] {
					want = want || r == role && contains(allowedRoles[string(verb)+" "+kind], string(role))
				}
				got := Allowed(Principal{Name: "p", Role: role}, Request{Verb: verb, Kind: kind, Name: "hello"})
				if got != want {
					t.Errorf("%q may %q %q: %v, want %v", role, verb, kind, got, want)
				}
			}
		}
	}
}

func contains(list, word string) bool {
	var a, b, c, d string
	_, _ = fmt.Sscan(list, &a, &b, &c, &d)
	return word == a || word == b || word == c || word == d
}

func TestAllowedByScope(t *testing.T) {
	version := func(name string) Request {
		return Request{Verb: Read, Kind: resource.KindImageVersion, Name: name}
	}
	for _, c := range []struct {
		scope   string
		request Request
		want    bool
	}{
		{"image/hello", Request{Verb: Read, Kind: "Image", Name: "hello"}, true},
		{"image/hello", Request{Verb: Read, Kind: "Image", Name: "hello2"}, false},
		{"image/hello", Request{Verb: Read, Kind: "Image", Name: "hello/sub"}, false},
		{"image/hello", version("hello:1.0.0"), true},
		{"image/hello", version("hello/sub:1.0.0"), false},
		{"image/hello", version("other:1.0.0"), false},
		{"image/hello", Request{Verb: Read, Kind: "ImageVersion", Name: "other:1.0.0", Owner: "hello"}, false},
		{"image/team/*", version("team/web:1.0.0"), true},
		{"image/team/*", version("team:1.0.0"), false},
		{"image/hel*", version("hello:1.0.0"), true},
		{"image/*", version("a/b/c:1.0.0"), true},
		{"image/*", Request{Verb: Read, Kind: "ScaleSet", Name: "hello"}, false},
		{"image/hello", Request{Verb: Read, Kind: "ScaleSet", Name: "hello"}, false},
		{"scaleset/hello", Request{Verb: Read, Kind: "ScaleSet", Name: "hello"}, true},
		{"scaleset/hello", Request{Verb: Read, Kind: "ScaleSet", Name: "hello-2"}, false},
		{"scaleset/hello", Request{Verb: Read, Kind: "Image", Name: "hello"}, false},
		{"scaleset/hello", Request{Verb: Read, Kind: "Instance", Name: "hello_3"}, true},
		{"scaleset/hello", Request{Verb: Read, Kind: "Instance", Name: "hello_3", Owner: "hello"}, true},
		{"scaleset/hello", Request{Verb: Read, Kind: "Instance", Name: "other_3", Owner: "hello"}, false},
		{"scaleset/hello", Request{Verb: Read, Kind: "Rollout", Name: "hello-3"}, true},
		{"scaleset/hello", Request{Verb: Read, Kind: "Rollout", Name: "hello-2-3"}, false},
		{"scaleset/hello-2", Request{Verb: Read, Kind: "Rollout", Name: "hello-2-3"}, true},
		{"scaleset/hello*", Request{Verb: Read, Kind: "Rollout", Name: "hello-2-3"}, true},
		{"scaleset/*", Request{Verb: Read, Kind: "LoadBalancer", Name: "hello"}, false},
		{"scaleset/*", Request{Verb: Administer, Kind: "", Name: ""}, false},
		{"scaleset/*", Request{Verb: Read, Kind: "Metrics"}, false},
		{"scaleset/*", Request{Verb: Read, Kind: "Token", Name: "ci"}, false},
		{"scaleset/*", Request{Verb: Read, Kind: "ScaleSet", Name: ""}, false},
		{"scaleset/*", Request{Verb: Write, Kind: "ScaleSet", Name: "new"}, true},
		{"nonsense", Request{Verb: Read, Kind: "ScaleSet", Name: "hello"}, false},
		{"*", Request{Verb: Read, Kind: "ScaleSet", Name: "hello"}, true}, // cannot be made: validate refuses it
		{"", Request{Verb: Read, Kind: "ScaleSet", Name: "hello"}, false},
	} {
		p := Principal{Name: "p", Role: resource.RoleOwner, Scopes: []string{"image/none", c.scope}}
		if got := Allowed(p, c.request); got != c.want {
			t.Errorf("%s covers %v: %v, want %v", c.scope, c.request, got, c.want)
		}
	}
}

// A scope only ever takes away.
func TestScopeNeverAddsToARole(t *testing.T) {
	for _, verb := range verbs {
		for _, kind := range kinds {
			for _, role := range roles {
				r := Request{Verb: verb, Kind: kind, Name: "hello"}
				scoped := Principal{Role: role, Scopes: []string{"image/*", "scaleset/*"}}
				if Allowed(scoped, r) && !Allowed(Principal{Role: role}, r) {
					t.Errorf("%q with scopes may %q %q", role, verb, kind)
				}
			}
		}
	}
}

func TestListsOfAScopedReader(t *testing.T) {
	p := Principal{Role: resource.RoleReader, Scopes: []string{"scaleset/hello"}}
	for kind, want := range map[string]bool{
		"ScaleSet": true, "Instance": true, "Rollout": true,
		"Image": false, "ImageVersion": false, "LoadBalancer": false, "Token": false, "": false,
	} {
		if got := MayList(p, kind); got != want {
			t.Errorf("may list %q: %v", kind, got)
		}
	}
	if !MayList(Principal{Role: resource.RoleReader}, "LoadBalancer") || MayList(Principal{Role: resource.RoleContributor}, "Token") {
		t.Error("without a scope the role decides")
	}
	if MayList(Principal{Role: "", Scopes: []string{"image/*"}}, "Image") {
		t.Error("no role lists nothing")
	}
	doc := func(kind, name, status, spec string) resource.Document {
		return resource.Document{Meta: resource.Meta{Kind: kind, Name: name}, Status: []byte(status), Spec: []byte(spec)}
	}
	for _, c := range []struct {
		doc  resource.Document
		want bool
	}{
		{doc("ScaleSet", "hello", "", ""), true},
		{doc("ScaleSet", "other", "", ""), false},
		{doc("Instance", "hello_1", `{"set":"hello"}`, ""), true},
		{doc("Instance", "other_1", `{"set":"other"}`, ""), false},
		{doc("Rollout", "hello-1", "", `{"set":"hello"}`), true},
		{doc("Rollout", "other-1", "", `{"set":"other"}`), false},
		{doc("LoadBalancer", "hello", "", ""), false},
	} {
		if got := Visible(p, c.doc); got != c.want {
			t.Errorf("sees %s %s: %v", c.doc.Kind, c.doc.Name, got)
		}
	}
}

func TestNobodyGivesMoreThanTheyHold(t *testing.T) {
	soon, later := time.Unix(1000, 0), time.Unix(2000, 0)
	owner := func(expires *time.Time, scopes ...string) Principal {
		return Principal{Name: "p", Role: resource.RoleOwner, Scopes: scopes, Expires: expires}
	}
	reader := Principal{Name: "p", Role: resource.RoleReader}
	spec := func(role resource.Role, expires *time.Time, scopes ...string) resource.TokenSpec {
		return resource.TokenSpec{Role: role, Scopes: scopes, Expires: expires}
	}
	for _, c := range []struct {
		name string
		by   Principal
		give resource.TokenSpec
		want bool
	}{
		{"the same", owner(nil), spec(resource.RoleOwner, nil), true},
		{"a lower role", owner(nil), spec(resource.RoleReader, nil), true},
		{"a higher role", reader, spec(resource.RolePublisher, nil), false},
		{"a narrower scope", owner(nil), spec(resource.RoleOwner, nil, "image/a"), true},
		{"the same scope", owner(nil, "image/a"), spec(resource.RoleOwner, nil, "image/a"), true},
		{"a scope inside", owner(nil, "image/a*"), spec(resource.RoleOwner, nil, "image/ab"), true},
		{"a pattern inside", owner(nil, "image/a*"), spec(resource.RoleOwner, nil, "image/ab*"), true},
		{"no scope", owner(nil, "image/a"), spec(resource.RoleReader, nil), false},
		{"a wider pattern", owner(nil, "image/ab*"), spec(resource.RoleReader, nil, "image/a*"), false},
		{"a pattern of an exact one", owner(nil, "image/a"), spec(resource.RoleReader, nil, "image/a*"), false},
		{"one outside", owner(nil, "image/a", "image/b"), spec(resource.RoleReader, nil, "image/a", "image/c"), false},
		{"another kind", owner(nil, "image/*"), spec(resource.RoleReader, nil, "scaleset/a"), false},
		{"a shorter life", owner(&later), spec(resource.RoleReader, &soon), true},
		{"the same life", owner(&later), spec(resource.RoleReader, &later), true},
		{"a longer life", owner(&soon), spec(resource.RoleReader, &later), false},
		{"no end", owner(&soon), spec(resource.RoleReader, nil), false},
	} {
		if err := MayGive(c.by, c.give); (err == nil) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
