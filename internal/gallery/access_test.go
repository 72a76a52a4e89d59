package gallery

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// requests are one of each kind, with what it needs.
func requests(image, digest string) []struct {
	method, path string
	needs        Action
} {
	of := func(rest string) string { return "/v2/" + image + "/" + rest }
	return []struct {
		method, path string
		needs        Action
	}{
		{http.MethodGet, of("manifests/1.0.0"), Pull},
		{http.MethodHead, of("manifests/1.0.0"), Pull},
		{http.MethodGet, of("manifests/" + digest), Pull},
		{http.MethodGet, of("blobs/" + digest), Pull},
		{http.MethodHead, of("blobs/" + digest), Pull},
		{http.MethodGet, of("tags/list"), Pull},
		{http.MethodPut, of("manifests/1.0.0"), Push},
		{http.MethodPut, of("manifests/" + digest), Push},
		{http.MethodPost, of("blobs/uploads/"), Push},
		{http.MethodGet, of("blobs/uploads/0b6d9f6e-0000-4000-8000-000000000000"), Push},
		{http.MethodPatch, of("blobs/uploads/0b6d9f6e-0000-4000-8000-000000000000"), Push},
		{http.MethodPut, of("blobs/uploads/0b6d9f6e-0000-4000-8000-000000000000"), Push},
		{http.MethodDelete, of("blobs/uploads/0b6d9f6e-0000-4000-8000-000000000000"), Push},
		{http.MethodDelete, of("manifests/1.0.0"), Delete},
		{http.MethodDelete, of("manifests/" + digest), Delete},
		{http.MethodDelete, of("blobs/" + digest), Delete},
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	d := p.mustPush("hello", "1.0.0", "one")
	for _, r := range requests("hello", d) {
		for _, c := range []struct {
			secret string
			want   bool // gets past authorization
		}{
			{"may-" + string(r.needs), true},
			{"may-" + string(r.needs) + ":hello", true},
			{"may-" + string(r.needs) + ":hel*", true},
			{"may-" + string(r.needs) + ":other", false},
			{"may-" + string(r.needs) + ":hello/sub", false},
			{"may-", false},
			{"may-" + strings.Join(slices.DeleteFunc([]string{"pull", "push", "delete"}, func(a string) bool { return a == string(r.needs) }), ","), false},
		} {
			a := p.do(r.method, r.path, c.secret, "", nil)
			if (a.status != http.StatusForbidden) != c.want || a.status >= 500 {
				t.Errorf("%s %s as %s: %d %s", r.method, r.path, c.secret, a.status, a.body)
			}
			if !c.want && r.method != http.MethodHead && a.code() != "forbidden" {
				t.Errorf("%s %s as %s: %s", r.method, r.path, c.secret, a.body)
			}
			if r.needs == Delete && c.want {
				p.mustPush("hello", "1.0.0", "one")
			}
		}
	}
}

func TestAuthenticationComesBeforeRouting(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	d := p.mustPush("hello", "1.0.0", "one")
	paths := []string{"/v2/", "/v2", "/v2/_catalog", "/v2/nothing", "/v2/../x", "/", "/v2/%2e%2e/", "/v2/hello/manifests/sha256:x"}
	for _, r := range requests("hello", d) {
		paths = append(paths, r.path)
	}
	for _, path := range paths {
		for _, method := range []string{"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
			for _, secret := range []string{"", "wrong", "may", " "} {
				a := p.do(method, path, secret, "", nil)
				if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") != `Basic realm="drover", charset="UTF-8"` {
					t.Fatalf("%s %s as %q: %+v", method, path, secret, a)
				}
				if method != http.MethodHead && a.code() != "unauthenticated" {
					t.Fatalf("%s %s as %q: %s", method, path, secret, a.body)
				}
			}
		}
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for _, c := range []struct {
		header string
		want   int
	}{
		{"Bearer may-pull", 200}, {"bearer may-pull", 200}, {"BEARER  may-pull ", 200},
		{"Basic eDptYXktcHVsbA==", 200}, // x:may-pull
		{"Basic Om1heS1wdWxs", 200},     // no user
		{"Basic bWF5LXB1bGw6", 401},     // the token as user
		{"Basic !!!", 401}, {"Bearer", 401}, {"Bearer ", 401}, {"may-pull", 401}, {"Digest may-pull", 401}, {"", 401},
		{"Bearer broken", 500},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", c.header)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%q: %d, want %d", c.header, resp.StatusCode, c.want)
		}
	}
	if log := p.log.String(); strings.Contains(log, "may-pull") {
		t.Errorf("the log holds a token:\n%s", log)
	}
}

func TestHostileNames(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.mustPush("hello", "1.0.0", "one")
	outside := filepath.Join(p.options.Dir, "..", "outside")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	names := []string{
		"..", "../..", "hello/..", "hello/../hello", "./hello", "hello//sub", "%2e%2e", "%2e%2e/%2e%2e/outside", "..%2f..%2foutside",
		"hello/%2e%2e/other", "_uploads", "hello/_manifests", "hello/_layers", "Hello", "HELLO", "he llo", "hello%00", "hello%0a", "héllo",
		"-hello", "hello-", "hello_x", "hello.x", "a__b", strings.Repeat("a", 64), strings.Repeat("a/", 200) + "a", "hello%2fsub%2f..",
		"v2", "hello/manifests", "hello/blobs/uploads", "hello/tags/list", "*", "hello*", "~", "C:", "con", ".hidden", "a/.b",
	}
	for _, name := range names {
		for _, r := range requests(name, digestOf(nil)) {
			for _, secret := range []string{everything, "may-pull,push,delete:hello"} {
				a := p.raw(r.method, r.path, secret)
				if a >= 500 || a == http.StatusCreated && secret != everything {
					t.Errorf("%s %s as %s: %d", r.method, r.path, secret, a)
				}
				if secret != everything && a < 300 {
					t.Errorf("%s %s is allowed to who may only hello: %d", r.method, r.path, a)
				}
			}
		}
	}
	if entries, err := os.ReadDir(p.options.Dir); err != nil || len(entries) != 1 {
		t.Errorf("the registry holds %v, %v", entries, err)
	}
	for _, name := range allNames(t, p) {
		if name != "hello" && !slices.Contains(names, name) {
			t.Errorf("a repository %q was made", name)
		}
	}
}

func allNames(t *testing.T, p *place) []string {
	t.Helper()
	names, err := p.repositories(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// raw sends a path as it is: no client library cleans it.
func (p *place) raw(method, path, secret string) int {
	p.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close()
	var status int
	_, err = fmt.Fprintf(conn, "%s %s HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", method, strings.ReplaceAll(path, " ", "%20"), secret)
	if err == nil {
		_, err = fmt.Fscanf(conn, "HTTP/1.0 %d", &status)
	}
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	return status
}

func TestBlobIsMountedOnlyForWhoMayPullIt(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	secretBlob := p.putBlob("private", []byte("a secret layer"))
	mount := func(secret, query, contentType, body string) answer {
		return p.do(http.MethodPost, "/v2/hello/blobs/uploads/"+query, secret, contentType, []byte(body))
	}
	query := fmt.Sprintf("mount=%s&from=private", secretBlob.Digest)
	const limited = "may-pull,push:hello"
	for name, a := range map[string]answer{
		"query":     mount(limited, "?"+query, "", ""),
		"twice":     mount(limited, "?from=hello&"+query, "", ""),
		"form":      mount(limited, "", "application/x-www-form-urlencoded", query),
		"odd form":  mount(limited, "", "Application/X-WWW-Form-Urlencoded; charset=utf-8", query),
		"broken":    mount(limited, "", "application/x-www-form-urlencoded; =", query),
		"multipart": mount(limited, "", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"from\"\r\n\r\nprivate\r\n--b\r\nContent-Disposition: form-data; name=\"mount\"\r\n\r\n"+secretBlob.Digest.String()+"\r\n--b--\r\n"),
		"semicolon": mount(limited, "?x;"+strings.ReplaceAll(query, "&", ";"), "", ""),
		"encoded":   mount(limited, "?%66rom=private&m%6Funt="+secretBlob.Digest.String(), "", ""),
	} {
		if a.status != http.StatusAccepted {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if a := p.do(http.MethodHead, "/v2/hello/blobs/"+secretBlob.Digest.String(), limited, "", nil); a.status != http.StatusNotFound {
		t.Fatalf("the layer is in hello: %+v", a)
	}
	if a := mount("may-pull,push", "?"+query, "", ""); a.status != http.StatusCreated {
		t.Fatalf("for who may pull it: %+v", a)
	}
}

func TestCatalogShowsWhatMayBePulled(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for _, image := range []string{"a", "b", "team/web", "team/api", "teams"} {
		p.mustPush(image, "1.0.0", image)
	}
	list := func(secret, query string) ([]string, string) {
		t.Helper()
		a := p.do(http.MethodGet, "/v2/_catalog"+query, secret, "", nil)
		var c struct {
			Repositories []string `json:"repositories"`
		}
		if err := json.Unmarshal([]byte(a.body), &c); err != nil || a.status != http.StatusOK || c.Repositories == nil {
			t.Fatalf("%+v %v", a, err)
		}
		return c.Repositories, a.header.Get("Link")
	}
	for secret, want := range map[string][]string{
		"may-pull":        {"a", "b", "team/api", "team/web", "teams"},
		"may-pull:team/*": {"team/api", "team/web"},
		"may-pull:b":      {"b"},
		"may-push":        {},
		"may-pull:none":   {},
	} {
		if got, _ := list(secret, ""); !slices.Equal(got, want) {
			t.Errorf("%s: %v", secret, got)
		}
	}
	page, link := list("may-pull", "?n=2")
	if !slices.Equal(page, []string{"a", "b"}) || !strings.Contains(link, "last=b") {
		t.Errorf("%v %s", page, link)
	}
	if page, link = list("may-pull", "?n=3&last=b"); !slices.Equal(page, []string{"team/api", "team/web", "teams"}) || link != "" {
		t.Errorf("%v %s", page, link)
	}
	for _, n := range []string{"0", "-1", "x"} {
		if a := p.do(http.MethodGet, "/v2/_catalog?n="+n, "may-pull", "", nil); a.status != http.StatusBadRequest {
			t.Errorf("n=%s: %+v", n, a)
		}
	}
}

func TestBlobsCannotBeDeleted(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.mustPush("hello", "1.0.0", "one")
	path := "/v2/hello/blobs/" + digestOf([]byte("layer of one"))
	if a := p.do(http.MethodDelete, path, everything, "", nil); a.status != http.StatusMethodNotAllowed {
		t.Fatalf("%+v", a)
	}
	if a := p.do(http.MethodGet, path, everything, "", nil); a.status != http.StatusOK || a.body != "layer of one" {
		t.Fatalf("%+v", a)
	}
}
