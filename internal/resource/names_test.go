package resource

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestValidateNameOf(t *testing.T) {
	long := strings.Repeat("a", 63)
	digest := "sha256:" + strings.Repeat("0", 64)
	for _, c := range []struct {
		kind string
		good []string
		bad  []string
	}{
		{KindScaleSet, []string{"a", "0", "a-b", "a--b", long}, []string{"", "-a", "a-", "A", "a_b", "a.b", "a/b", "a b", "ä", long + "a", "a\n"}},
		{KindLoadBalancer, []string{"front"}, []string{"front/end"}},
		{KindToken, []string{"ci"}, []string{"ci@x"}},
		{KindImage, []string{"web", "team/web", "a/b/c", long + "/" + long}, []string{"", "/web", "web/", "a//b", "web:1.0.0", "Web", strings.Repeat("a/", 128) + "a"}},
		{KindImageVersion, []string{"web:1.4.0", "team/web:0.0.0"}, []string{"web", "web:", "web:1.4", "web:v1.4.0", ":1.4.0", "web:1.4.0:1.4.0", "web@" + digest}},
		{KindInstance, []string{"hello_0", "hello_12"}, []string{"hello", "hello_", "hello_01", "hello_-1", "_1", "hello_1_2"}},
		{KindRollout, []string{"hello-1", "a-b-12", long + "-3"}, []string{"hello", "hello-", "hello-01", "-1", "hello-x"}},
	} {
		for _, name := range c.good {
			if err := ValidateNameOf(c.kind, name); err != nil {
				t.Errorf("%s %q is refused: %v", c.kind, name, err)
			}
		}
		for _, name := range c.bad {
			if err := ValidateNameOf(c.kind, name); err == nil {
				t.Errorf("%s %q is accepted", c.kind, name)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	order := []string{"0.0.0", "0.0.1", "0.1.0", "1.0.0", "1.2.9", "1.2.10", "1.10.0", "2.0.0", "10.0.0", "2147483647.0.0"}
	for i, a := range order {
		for j, b := range order {
			va, errA := ParseVersion(a)
			vb, errB := ParseVersion(b)
			if errA != nil || errB != nil || va.String() != a {
				t.Fatalf("%s reads %v, %v, %v", a, va, errA, errB)
			}
			if got := va.Compare(vb); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%s compared with %s is %d", a, b, got)
			}
		}
	}
	for _, s := range []string{"", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.03", "v1.2.3", "1.2.x", "-1.2.3", "+1.2.3", "1..3", "2147483648.0.0", "1.2.3-rc1", "1.2.3 "} {
		if v, err := ParseVersion(s); err == nil {
			t.Errorf("ParseVersion(%q) = %v", s, v)
		}
	}
}

func TestParseImageRef(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0f", 32)
	for in, want := range map[string]ImageRef{
		"hello":                {Name: "hello"},
		"hello:1.0.0":          {Name: "hello", Version: "1.0.0"},
		"team/hello:1.10.0":    {Name: "team/hello", Version: "1.10.0"},
		"hello@" + digest:      {Name: "hello", Digest: digest},
		"team/hello@" + digest: {Name: "team/hello", Digest: digest},
	} {
		got, err := ParseImageRef(in)
		if err != nil || got != want || got.String() != in {
			t.Errorf("ParseImageRef(%q) = %+v, %v", in, got, err)
		}
		if got.FollowsLatest() != (in == "hello") {
			t.Errorf("%q follows latest: %v", in, got.FollowsLatest())
		}
	}
	for _, in := range []string{
		"", ":1.0.0", "hello:", "hello:latest", "hello:1.0", "Hello:1.0.0", "hello@", "hello@sha256:00", "hello@" + strings.ToUpper(digest),
		"hello:1.0.0@" + digest, "hello@" + digest + "@" + digest, "host:5000/hello:1.0.0", "a//b", "hello ",
	} {
		if got, err := ParseImageRef(in); err == nil {
			t.Errorf("ParseImageRef(%q) = %+v", in, got)
		}
	}
}

func FuzzParseImageRef(f *testing.F) {
	for _, s := range []string{"hello", "hello:1.0.0", "a/b:1.0.0", "hello@sha256:" + strings.Repeat("0", 64), "hello:01.0.0", "@", ":"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := ParseImageRef(s); err == nil && r.String() != s {
			t.Fatalf("%q reads %+v, which prints %q", s, r, r)
		}
	})
}

func TestImageVersionName(t *testing.T) {
	image, v, ok := SplitImageVersionName("team/web:1.4.0")
	if !ok || image != "team/web" || v != (Version{1, 4, 0}) || ImageVersionName(image, v) != "team/web:1.4.0" {
		t.Errorf("split into %q, %v, %v", image, v, ok)
	}
}

func TestOwnerOf(t *testing.T) {
	for _, c := range []struct {
		d    Document
		want string
	}{
		{Document{Meta: Meta{Kind: KindInstance, Name: "hello_3"}, Status: json.RawMessage(`{"set":"hello"}`)}, "hello"},
		{Document{Meta: Meta{Kind: KindInstance, Name: "hello_3"}, Status: json.RawMessage(`{"se`)}, "hello"},
		{Document{Meta: Meta{Kind: KindInstance, Name: "hello_3"}}, "hello"},
		{Document{Meta: Meta{Kind: KindRollout, Name: "hello-3"}, Spec: json.RawMessage(`{"set":"hello"}`)}, "hello"},
		{Document{Meta: Meta{Kind: KindRollout, Name: "a-b-3"}}, "a-b"},
		{Document{Meta: Meta{Kind: KindImageVersion, Name: "team/web:1.0.0"}}, "team/web"},
		{Document{Meta: Meta{Kind: KindImage, Name: "team/web"}}, ""},
		{Document{Meta: Meta{Kind: KindScaleSet, Name: "hello"}, Spec: json.RawMessage(`{"set":"x"}`)}, ""},
	} {
		if got := OwnerOf(c.d); got != c.want {
			t.Errorf("the owner of %s %s is %q, want %q", c.d.Kind, c.d.Name, got, c.want)
		}
	}
}

func TestLookupKind(t *testing.T) {
	for in, want := range map[string]string{
		"ScaleSet": KindScaleSet, "scaleset": KindScaleSet, "SCALESETS": KindScaleSet, "lb": KindLoadBalancer, "LB": KindLoadBalancer,
		"imageversion": KindImageVersion, "images": KindImage, "rollouts": KindRollout, "Instance": KindInstance, "token": KindToken,
	} {
		if k, err := LookupKind(in); err != nil || k.Name != want {
			t.Errorf("LookupKind(%q) = %v, %v; want %s", in, k, err, want)
		}
	}
	for in, want := range map[string]struct {
		code Code
		text string
	}{
		"topic":    {CodeUnsupported, "not yet supported"},
		"Secrets":  {CodeUnsupported, "Secret"},
		"ScalSet":  {CodeInvalid, "did you mean ScaleSet?"},
		"":         {CodeInvalid, "there are"},
		"Deployed": {CodeInvalid, "ScaleSet, LoadBalancer"},
	} {
		if _, err := LookupKind(in); !IsCode(err, want.code) || !strings.Contains(err.Error(), want.text) {
			t.Errorf("LookupKind(%q): %v (%s); want %s with %q", in, err, CodeOf(err), want.code, want.text)
		}
	}
}
