package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

func TestPutGetListDelete(t *testing.T) {
	e := newEnv(t)
	created := e.want(201, e.do("PUT", "/api/v1/scalesets/hello", ownerToken, scaleSet("hello")))
	var d resource.Document
	created.decode(t, &d)
	if d.Revision == 0 || d.Generation != 1 || created.Header.Get("ETag") != etag(d.Revision) {
		t.Fatalf("created %s with ETag %s", created.body, created.Header.Get("ETag"))
	}
	if !strings.Contains(string(d.Spec), `"capacity":1`) {
		t.Errorf("the defaults are not in the stored spec: %s", d.Spec)
	}
	same := e.want(200, e.do("PUT", "/api/v1/scalesets/hello", ownerToken, scaleSet("hello")))
	if same.Header.Get("ETag") != created.Header.Get("ETag") {
		t.Errorf("an unchanged put made revision %s from %s", same.Header.Get("ETag"), created.Header.Get("ETag"))
	}
	got := e.want(200, e.do("GET", "/api/v1/scalesets/hello", ownerToken, ""))
	if string(got.body) != string(same.body) {
		t.Errorf("get %s\nput %s", got.body, same.body)
	}
	var list List
	e.want(200, e.do("GET", "/api/v1/scalesets", ownerToken, "")).decode(t, &list)
	if len(list.Items) != 1 || list.Revision < d.Revision || list.Continue != "" {
		t.Errorf("list: %+v", list)
	}
	e.wantCode(resource.CodeNotFound, e.do("GET", "/api/v1/scalesets/other", ownerToken, ""))
	e.wantCode(resource.CodeNotFound, e.do("DELETE", "/api/v1/loadbalancers/other", ownerToken, ""))
}

func TestServerOwnsStatusAndRevision(t *testing.T) {
	e := newEnv(t)
	e.put(doc(resource.KindScaleSet, "hello", `{"image":"hello:1.0.0"}`, `{"colour":"blue"}`))
	body := `{"kind":"ScaleSet","name":"hello","revision":999,"generation":77,"created":"2001-01-01T00:00:00Z","status":{"colour":"green"},"spec":{"image":"hello:1.0.0","capacity":3}}`
	var d resource.Document
	e.want(200, e.do("PUT", "/api/v1/scalesets/hello", ownerToken, body)).decode(t, &d)
	if string(d.Status) != `{"colour":"blue"}` || d.Revision == 999 || d.Generation != 2 || d.Created.Year() == 2001 {
		t.Errorf("the client's word was taken: %+v %s", d.Meta, d.Status)
	}
}

func TestIfMatch(t *testing.T) {
	e := newEnv(t)
	first := e.want(201, e.do("PUT", "/api/v1/images/web", ownerToken, `{"kind":"Image","name":"web","spec":{}}`, header{"If-None-Match": "*"}))
	at := first.Header.Get("ETag")
	change := `{"kind":"Image","name":"web","spec":{"description":"x"}}`
	e.wantCode(resource.CodeRevisionConflict, e.do("PUT", "/api/v1/images/web", ownerToken, change, header{"If-None-Match": "*"}))
	second := e.want(200, e.do("PUT", "/api/v1/images/web", ownerToken, change, header{"If-Match": at}))
	e.wantCode(resource.CodeRevisionConflict, e.do("PUT", "/api/v1/images/web", ownerToken, change, header{"If-Match": at}))
	e.wantCode(resource.CodeRevisionConflict, e.do("PUT", "/api/v1/images/none", ownerToken, strings.Replace(change, "web", "none", 1), header{"If-Match": "*"}))
	e.wantCode(resource.CodeInvalid, e.do("PUT", "/api/v1/images/web", ownerToken, change, header{"If-Match": "soon"}))
	e.wantCode(resource.CodeRevisionConflict, e.do("DELETE", "/api/v1/images/web", ownerToken, "", header{"If-Match": at}))
	e.want(200, e.do("DELETE", "/api/v1/images/web", ownerToken, "", header{"If-Match": strings.Trim(second.Header.Get("ETag"), `"`)}))
}

func TestDryRunWritesNothing(t *testing.T) {
	e := newEnv(t)
	e.want(201, e.do("PUT", "/api/v1/scalesets/hello", ownerToken, scaleSet("hello")))
	before := e.store.Revision()
	body := `{"kind":"ScaleSet","name":"hello","labels":{"a/b":"c"},"spec":{"image":"hello:2.0.0","env":{"X":"1"}}}`
	var o Outcome
	e.want(200, e.do("PUT", "/api/v1/scalesets/hello?dryRun=true", ownerToken, body)).decode(t, &o)
	if o.Action != ActionUpdate || !o.Rollout || len(o.Warnings) != 1 {
		t.Errorf("outcome: %+v", o)
	}
	var pointers []string
	for _, c := range o.Changes {
		pointers = append(pointers, c.Pointer)
	}
	if want := []string{"/labels/a~1b", "/spec/env", "/spec/image"}; !slices.Equal(pointers, want) {
		t.Errorf("changes %v, want %v", pointers, want)
	}
	if now := e.store.Revision(); now != before {
		t.Errorf("a dry run went from revision %d to %d", before, now)
	}
	e.want(200, e.do("PUT", "/api/v1/scalesets/hello?dryRun=true", ownerToken, scaleSet("hello"))).decode(t, &o)
	if o.Action != ActionUnchanged || len(o.Changes) != 0 {
		t.Errorf("unchanged: %+v", o)
	}
	// What is not spelt right must not become a write.
	p := e.wantCode(resource.CodeInvalid, e.do("PUT", "/api/v1/scalesets/hello?dryrun=true", ownerToken, body))
	if len(p.Errors) != 1 || p.Errors[0].Pointer != "/query/dryrun" {
		t.Errorf("errors: %+v", p.Errors)
	}
	e.wantCode(resource.CodeInvalid, e.do("PUT", "/api/v1/scalesets/hello?dryRun=maybe", ownerToken, body))
	if now := e.store.Revision(); now != before {
		t.Errorf("a refused request went from revision %d to %d", before, now)
	}
}

func TestWarningsAreHeaders(t *testing.T) {
	e := newEnv(t)
	e.want(201, e.do("PUT", "/api/v1/scalesets/hello", ownerToken, scaleSet("hello")))
	r := e.want(200, e.do("PUT", "/api/v1/scalesets/hello", ownerToken, strings.Replace(scaleSet("hello"), "1.0.0", "2.0.0", 1)))
	if got, want := r.Header.Get("Warning"), `299 drover "data of 1 instance would be left \u2014 behind"`; got != want {
		t.Errorf("warning %s, want %s", got, want)
	}
	if got := r.Header.Get("Drover-Rollout"); got != "hello-1" {
		t.Errorf("rollout %q", got)
	}
	lb := e.want(201, e.do("PUT", "/api/v1/loadbalancers/front", ownerToken, strings.Replace(balancer("front", "127.0.0.1:8080"), `"hello"`, `"absent"`, 1)))
	if !strings.Contains(lb.Header.Get("Warning"), "scale set absent does not exist yet") {
		t.Errorf("no warning of a missing set: %q", lb.Header.Get("Warning"))
	}
}

func TestURLAndBodyMustAgree(t *testing.T) {
	e := newEnv(t)
	for path, body := range map[string]string{
		"/api/v1/scalesets/other":        scaleSet("hello"),
		"/api/v1/loadbalancers/hello":    scaleSet("hello"),
		"/api/v1/scalesets/hello_1":      scaleSet("hello"),
		"/api/v1/scalesets/..%2Fhello":   scaleSet("hello"),
		"/api/v1/imageversions/web":      `{"kind":"ImageVersion","name":"web","spec":{}}`,
		"/api/v1/instances/hello_1":      `{"kind":"Instance","name":"hello_1","spec":{}}`,
		"/api/v1/rollouts/hello-1":       `{"kind":"Rollout","name":"hello-1","spec":{}}`,
		"/api/v1/tokens/mine":            `{"kind":"Token","name":"mine","spec":{"role":"Owner"}}`,
		"/api/v1/images/web":             `{"kind":"Image","name":"web","spec":{}} trailing`,
		"/api/v1/images/deep":            strings.Repeat("[", 100_000),
		"/api/v1/images/deep2":           `{"kind":"Image","name":"deep2","spec":` + strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000) + "}",
		"/api/v1/images/double":          `{"kind":"Image","name":"double","spec":{},"spec":{}}`,
		"/api/v1/images/utf8":            "{\"kind\":\"Image\",\"name\":\"utf8\",\"spec\":{\"description\":\"\xff\"}}",
		"/api/v1/images/empty":           "",
		"/api/v1/images/null":            "null",
		"/api/v1/images/list":            "[]",
		"/api/v1/images/field":           `{"kind":"Image","name":"field","spec":{"nope":1}}`,
		"/api/v1/scalesets/hello?force=": `{"kind":"ScaleSet","name":"hello","spec":{"image":"HELLO"}}`,
	} {
		r := e.do("PUT", path, ownerToken, body)
		if r.StatusCode != 400 && r.StatusCode != 404 {
			t.Errorf("%s: %d %s", path, r.StatusCode, r.body)
		}
		r.problem(t)
	}
	if l, err := e.store.List(t.Context(), resource.KindImage, noOptions); err != nil || len(l.Items) != 0 {
		t.Errorf("something was written: %+v %v", l, err)
	}
}

func TestPointersOfBadFields(t *testing.T) {
	e := newEnv(t)
	p := e.wantCode(resource.CodeInvalid, e.do("PUT", "/api/v1/scalesets/hello", ownerToken,
		`{"kind":"ScaleSet","name":"hello","spec":{"image":"hello:1.0.0","capacity":-1,"health":{"interval":"soon"}}}`))
	var pointers []string
	for _, f := range p.Errors {
		pointers = append(pointers, f.Pointer)
	}
	slices.Sort(pointers)
	if want := []string{"/spec/capacity", "/spec/health/interval"}; !slices.Equal(pointers, want) {
		t.Errorf("pointers %v, want %v", pointers, want)
	}
}

func TestBodyLimit(t *testing.T) {
	e := newEnv(t)
	long := `{"kind":"Image","name":"web","spec":{"description":"` + strings.Repeat("x", maxBody) + `"}}`
	e.wantCode(resource.CodeTooLarge, e.do("PUT", "/api/v1/images/web", ownerToken, long))
	most := `{"kind":"Image","name":"web","spec":{}}`
	most += strings.Repeat(" ", maxBody-len(most))
	e.want(201, e.do("PUT", "/api/v1/images/web", ownerToken, most))
	e.wantCode(resource.CodeTooLarge, e.do("POST", "/api/v1/apply", ownerToken, "["+long+"]"))
}

func TestImageNamesWithSlashes(t *testing.T) {
	e := newEnv(t)
	e.want(201, e.do("PUT", "/api/v1/images/team%2Fweb", ownerToken, `{"kind":"Image","name":"team/web","spec":{}}`))
	e.want(200, e.do("GET", "/api/v1/images/team%2Fweb", ownerToken, ""))
	e.wantCode(resource.CodeNotFound, e.do("GET", "/api/v1/images/team/web", ownerToken, ""))
	e.put(doc(resource.KindImageVersion, "team/web:1.0.0", `{"excludeFromLatest":false}`, `{"digest":"sha256:x"}`))
	e.wantCode(resource.CodeInUse, e.do("DELETE", "/api/v1/images/team%2Fweb", ownerToken, ""))
	var l List
	e.want(200, e.do("GET", "/api/v1/imageversions?set=team%2Fweb", ownerToken, "")).decode(t, &l)
	if len(l.Items) != 1 {
		t.Errorf("versions of the image: %+v", l)
	}
	revoke := `{"kind":"ImageVersion","name":"team/web:1.0.0","spec":{"excludeFromLatest":true,"revoked":{"at":"2030-01-01T00:00:00Z","reason":"bad"}}}`
	var d resource.Document
	e.want(200, e.do("PUT", "/api/v1/imageversions/team%2Fweb:1.0.0", ownerToken, revoke)).decode(t, &d)
	if string(d.Status) != `{"digest":"sha256:x"}` {
		t.Errorf("status %s", d.Status)
	}
	e.wantCode(resource.CodeNotFound, e.do("PUT", "/api/v1/imageversions/team%2Fweb:2.0.0", ownerToken, strings.Replace(revoke, "1.0.0", "2.0.0", 1)))
}

func TestPages(t *testing.T) {
	e := newEnv(t)
	for i := range 25 {
		e.put(instance("hello", i))
		e.put(instance("other", i))
	}
	for token, want := range map[string]int{ownerToken: 50, scopedToken: 25} {
		seen := map[string]bool{}
		from := ""
		for pages := 0; ; pages++ {
			var l List
			e.want(200, e.do("GET", "/api/v1/instances?limit=4&continue="+from, token, "")).decode(t, &l)
			if len(l.Items) > 4 || pages > 20 {
				t.Fatalf("page %d has %d documents", pages, len(l.Items))
			}
			for _, d := range l.Items {
				if seen[d.Name] {
					t.Errorf("%s is on two pages", d.Name)
				}
				seen[d.Name] = true
			}
			if from = l.Continue; from == "" {
				break
			}
		}
		if len(seen) != want {
			t.Errorf("%s saw %d, want %d", token, len(seen), want)
		}
	}
	for _, query := range []string{"limit=0x", "limit=-1", "limit=100000", "label=x", "watch=maybe", "nothing=1", "after=x", "after=-5"} {
		e.wantCode(resource.CodeInvalid, e.do("GET", "/api/v1/instances?"+query, ownerToken, ""))
	}
	e.wantCode(resource.CodeInvalid, e.do("GET", "/api/v1/scalesets?set=hello", ownerToken, ""))
}

func TestLabels(t *testing.T) {
	e := newEnv(t)
	for i, label := range []string{`{"app":"a","tier":"web"}`, `{"app":"b","tier":"web"}`, `{}`} {
		name := fmt.Sprintf("i%d", i)
		e.want(201, e.do("PUT", "/api/v1/images/"+name, ownerToken, `{"kind":"Image","name":"`+name+`","labels":`+label+`,"spec":{}}`))
	}
	for query, want := range map[string]int{"label=app%3Da": 1, "label=tier%3Dweb": 2, "label=tier%3Dweb&label=app%3Db": 1, "label=app%3Dc": 0, "": 3} {
		var l List
		e.want(200, e.do("GET", "/api/v1/images?"+query, ownerToken, "")).decode(t, &l)
		if len(l.Items) != want || l.Items == nil {
			t.Errorf("%s: %d, want %d", query, len(l.Items), want)
		}
	}
}

func TestListenAddressesCollide(t *testing.T) {
	e := newEnv(t)
	e.want(201, e.do("PUT", "/api/v1/loadbalancers/front", ownerToken, balancer("front", "127.0.0.1:8080")))
	e.want(200, e.do("PUT", "/api/v1/loadbalancers/front", ownerToken, balancer("front", "127.0.0.1:8080")))
	for _, listen := range []string{"127.0.0.1:8080", "0.0.0.0:8080", "127.0.0.1:7400", "localhost:7400"} {
		p := e.wantCode(resource.CodeInvalid, e.do("PUT", "/api/v1/loadbalancers/back", ownerToken, balancer("back", listen)))
		if len(p.Errors) != 1 || p.Errors[0].Pointer != "/spec/listen" {
			t.Errorf("%s: %+v", listen, p)
		}
	}
	e.want(201, e.do("PUT", "/api/v1/loadbalancers/back", ownerToken, balancer("back", "127.0.0.2:8080")))
	e.want(200, e.do("DELETE", "/api/v1/loadbalancers/front", ownerToken, ""))
	e.want(200, e.do("PUT", "/api/v1/loadbalancers/back", ownerToken, balancer("back", "127.0.0.1:8080")))
}

func TestCollide(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1:80", "127.0.0.1:80", true}, {"127.0.0.1:80", "127.0.0.1:81", false},
		{"127.0.0.1:80", "127.0.0.2:80", false}, {"0.0.0.0:80", "10.1.1.1:80", true},
		{"0.0.0.0:80", "[::1]:80", false}, {"[::]:80", "10.1.1.1:80", true}, {"[::]:80", "[::1]:80", true},
		{":80", "127.0.0.1:80", true}, {"127.0.0.1:0", "127.0.0.1:0", false},
		{"localhost:80", "127.0.0.1:80", true}, {"localhost:80", "[::1]:80", true}, {"localhost:80", "10.1.1.1:80", false},
		{"localhost:80", "0.0.0.0:80", true}, {"a.example:80", "b.example:80", false}, {"A.example:80", "a.example:80", true},
		{"[::ffff:127.0.0.1]:80", "127.0.0.1:80", true}, {"nonsense", "127.0.0.1:80", false},
	} {
		if got := collide(c.a, c.b); got != c.want {
			t.Errorf("collide(%q, %q) = %v", c.a, c.b, got)
		}
		if got := collide(c.b, c.a); got != c.want {
			t.Errorf("collide(%q, %q) = %v", c.b, c.a, got)
		}
	}
}

func TestApply(t *testing.T) {
	e := newEnv(t)
	// The balancer comes first and names a set that comes after it.
	body := "[" + balancer("front", "127.0.0.1:8080") + "," + scaleSet("hello") + "]"
	var a Applied
	e.want(200, e.do("POST", "/api/v1/apply?dryRun=true", ownerToken, body)).decode(t, &a)
	if len(a.Items) != 2 || a.Items[0].Name != "front" || a.Items[0].Action != ActionCreate || len(a.Items[0].Warnings) != 0 {
		t.Errorf("dry run: %+v", a)
	}
	if e.store.Revision() != 0 {
		t.Error("a dry run wrote")
	}
	e.want(200, e.do("POST", "/api/v1/apply", ownerToken, body)).decode(t, &a)
	if a.Revision != e.store.Revision() || a.Revision == 0 {
		t.Errorf("applied at %d of %d", a.Revision, e.store.Revision())
	}
	before := e.store.Revision()
	bad := "[" + scaleSet("good") + `,{"kind":"ScaleSet","name":"bad","spec":{"image":"X"}},` + balancer("b2", "127.0.0.1:8080") + "]"
	p := e.wantCode(resource.CodeInvalid, e.do("POST", "/api/v1/apply", ownerToken, bad))
	if len(p.Errors) != 1 || p.Errors[0].Pointer != "/1/spec/image" {
		t.Errorf("decode errors come first: %+v", p.Errors)
	}
	p = e.wantCode(resource.CodeInvalid, e.do("POST", "/api/v1/apply", ownerToken, "["+scaleSet("good")+","+balancer("b2", "127.0.0.1:8080")+"]"))
	if len(p.Errors) != 1 || p.Errors[0].Pointer != "/1/spec/listen" {
		t.Errorf("errors: %+v", p.Errors)
	}
	p = e.wantCode(resource.CodeInvalid, e.do("POST", "/api/v1/apply", ownerToken, "["+scaleSet("good")+","+scaleSet("good")+"]"))
	if len(p.Errors) != 1 || p.Errors[0].Pointer != "/1/name" {
		t.Errorf("errors: %+v", p.Errors)
	}
	if e.store.Revision() != before {
		t.Error("a refused apply wrote")
	}
	e.wantCode(resource.CodeForbidden, e.do("POST", "/api/v1/apply", scopedToken, "["+scaleSet("hello")+","+scaleSet("other")+"]"))
	e.wantCode(resource.CodeInvalid, e.do("POST", "/api/v1/apply", ownerToken, "{}"))
	e.wantCode(resource.CodeTooLarge, e.do("POST", "/api/v1/apply", ownerToken, "["+strings.Repeat("{},", maxApplyDocuments)+"{}]"))
	e.want(200, e.do("POST", "/api/v1/apply", ownerToken, "[]"))
}

// TestApplyChecksDocumentsTogether: balancers may swap their addresses, and a
// set that comes with its balancer is not missing.
func TestApplyChecksDocumentsTogether(t *testing.T) {
	e := newEnv(t)
	e.want(200, e.do("POST", "/api/v1/apply", ownerToken, "["+balancer("a", "127.0.0.1:8080")+","+balancer("b", "127.0.0.1:8081")+"]"))
	e.wantCode(resource.CodeInvalid, e.do("PUT", "/api/v1/loadbalancers/a", ownerToken, balancer("a", "127.0.0.1:8081")))
	var a Applied
	e.want(200, e.do("POST", "/api/v1/apply", ownerToken, "["+balancer("a", "127.0.0.1:8081")+","+balancer("b", "127.0.0.1:8080")+"]")).decode(t, &a)
	if len(a.Items[0].Warnings) != 1 || len(a.Items[0].Changes) != 1 {
		t.Errorf("swapped: %+v", a.Items[0])
	}
	p := e.wantCode(resource.CodeInvalid, e.do("POST", "/api/v1/apply", ownerToken, "["+balancer("c", "127.0.0.1:90")+","+balancer("d", "127.0.0.1:90")+"]"))
	if len(p.Errors) != 2 {
		t.Errorf("both are wrong: %+v", p.Errors)
	}
}

// TestConcurrentChanges: of many that start from one revision exactly one wins, so that no count is lost.
func TestConcurrentChanges(t *testing.T) {
	e := newEnv(t)
	e.want(201, e.do("PUT", "/api/v1/images/n", ownerToken, `{"kind":"Image","name":"n","spec":{"description":"0"}}`))
	const workers, each = 8, 10
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for done := 0; done < each; {
				var d struct {
					Spec struct{ Description string }
				}
				r := e.do("GET", "/api/v1/images/n", ownerToken, "")
				r.decode(t, &d)
				n, err := strconv.Atoi(d.Spec.Description)
				if err != nil {
					t.Error(err)
					return
				}
				body := fmt.Sprintf(`{"kind":"Image","name":"n","spec":{"description":"%d"}}`, n+1)
				switch r := e.do("PUT", "/api/v1/images/n", ownerToken, body, header{"If-Match": r.Header.Get("ETag")}); r.StatusCode {
				case 200:
					done++
				case 412:
				default:
					t.Errorf("%d %s", r.StatusCode, r.body)
					return
				}
			}
		})
	}
	wg.Wait()
	if r := e.do("GET", "/api/v1/images/n", ownerToken, ""); !strings.Contains(string(r.body), fmt.Sprintf(`"description":"%d"`, workers*each)) {
		t.Errorf("after %d changes: %s", workers*each, r.body)
	}
}

func TestTokens(t *testing.T) {
	e := newEnv(t)
	r := e.want(201, e.do("POST", "/api/v1/tokens", ownerToken, `{"name":"ci","role":"Publisher","scopes":["image/hello"],"expires":"720h"}`))
	var made NewToken
	r.decode(t, &made)
	if made.Secret != "the-secret" || made.Token.Name != "ci" || !strings.Contains(string(made.Token.Spec), `"expires":"20`) {
		t.Errorf("made %s", r.body)
	}
	answers := [][]byte{r.body}
	answers = append(answers, e.do("GET", "/api/v1/tokens", ownerToken, "").body, e.do("GET", "/api/v1/tokens/ci", ownerToken, "").body)
	w := e.watch("/api/v1/tokens?watch=true&after=0", ownerToken)
	answers = append(answers, []byte(w.next().data), e.do("DELETE", "/api/v1/tokens/ci", ownerToken, "").body)
	answers = append(answers, []byte(w.next().data))
	for _, a := range answers {
		if strings.Contains(string(a), "cafe") || strings.Contains(string(a), "hash") {
			t.Errorf("a hash is shown: %s", a)
		}
	}
	var named NewToken
	e.want(201, e.do("POST", "/api/v1/tokens", ownerToken, `{"role":"Reader"}`)).decode(t, &named)
	if !strings.HasPrefix(named.Token.Name, "token-") {
		t.Errorf("made-up name %q", named.Token.Name)
	}
	for _, body := range []string{`{"role":"Reader","expires":"never"}`, `{"role":"Reader","expires":"0s"}`, `{"role":1}`, `{"rolle":"Reader"}`, `{"name":"A B","role":"Reader"}`, `{} {}`, "\xff"} {
		e.wantCode(resource.CodeInvalid, e.do("POST", "/api/v1/tokens", ownerToken, body))
	}
	e.wantCode(resource.CodeForbidden, e.do("POST", "/api/v1/tokens", scopedToken, `{"role":"Reader"}`))
	if strings.Contains(e.logs.String(), "the-secret") || strings.Contains(e.logs.String(), ownerToken) {
		t.Error("a secret is in the log")
	}
}

func TestActions(t *testing.T) {
	e := newEnv(t)
	e.put(doc(resource.KindScaleSet, "hello", `{"image":"hello:1.0.0"}`, `{}`), doc(resource.KindRollout, "hello-1", `{"set":"hello"}`, `{}`))
	r := e.want(201, e.do("POST", "/api/v1/scalesets/hello/rollout", scopedToken, `{"image":"hello:2.0.0","force":true}`))
	if r.Header.Get("Location") != "/api/v1/rollouts/hello-1" {
		t.Errorf("location %q", r.Header.Get("Location"))
	}
	e.want(201, e.do("POST", "/api/v1/scalesets/hello/rollout", scopedToken, ""))
	e.wantCode(resource.CodeInvalid, e.do("POST", "/api/v1/scalesets/hello/rollout", scopedToken, `{"image":"HELLO"}`))
	e.wantCode(resource.CodeForbidden, e.do("POST", "/api/v1/scalesets/hello/rollout", readerToken, `{}`))

	e.want(200, e.do("POST", "/api/v1/rollouts/hello-1/pause", ownerToken, `{"for":"90m"}`))
	e.want(200, e.do("POST", "/api/v1/rollouts/hello-1/resume", ownerToken, ""))
	e.want(200, e.do("POST", "/api/v1/rollouts/hello-1/cancel", ownerToken, "{}"))
	e.wantCode(resource.CodeInvalidPhase, e.do("POST", "/api/v1/rollouts/hello-1/promote", ownerToken, ""))
	e.wantCode(resource.CodeNotFound, e.do("POST", "/api/v1/rollouts/hello-2/promote", ownerToken, ""))
	e.wantCode(resource.CodeInvalid, e.do("POST", "/api/v1/rollouts/hello-1/pause", ownerToken, `{"for":"soon"}`))
	e.wantCode(resource.CodeInvalid, e.do("POST", "/api/v1/rollouts/hello-1/cancel", ownerToken, `{"for":"1s"}`))
	e.wantCode(resource.CodeNotFound, e.do("POST", "/api/v1/rollouts/hello-1/explode", ownerToken, ""))
	if len(e.ports.asks) != 3 || e.ports.asks[0].Action != "pause" || e.ports.asks[0].By != "root" || e.ports.asks[0].For.String() != "1h30m" {
		t.Errorf("asks: %+v", e.ports.asks)
	}
	e.want(200, e.do("POST", "/api/v1/rollouts/hello-1/rollback", ownerToken, ""))
	made := e.want(201, e.do("POST", "/api/v1/rollouts/hello-9/rollback", ownerToken, ""))
	if made.Header.Get("Location") != "/api/v1/rollouts/hello-10" {
		t.Errorf("location %q", made.Header.Get("Location"))
	}

	var set resource.ScaleSet
	e.want(200, e.do("POST", "/api/v1/scalesets/hello/scale", ownerToken, `{"capacity":12}`)).decode(t, &set)
	if set.Spec.Capacity != 12 {
		t.Errorf("scaled to %d", set.Spec.Capacity)
	}
	for _, body := range []string{`{}`, `{"capacity":-1}`, `{"capacity":10001}`, `{"capacity":"many"}`, `{"capacity":1.5}`, `[]`} {
		e.wantCode(resource.CodeInvalid, e.do("POST", "/api/v1/scalesets/hello/scale", ownerToken, body))
	}
	for _, action := range []string{"restart", "reimage", "delete"} {
		e.wantCode(resource.CodeUnsupported, e.do("POST", "/api/v1/instances/hello_1/"+action, ownerToken, ""))
	}
}

// TestCodes answers every code with the status that documents promise.
func TestCodes(t *testing.T) {
	e := newEnv(t)
	e.put(doc(resource.KindScaleSet, "hello", `{"image":"hello:1.0.0"}`, `{}`))
	for code, status := range map[resource.Code]int{
		resource.CodeInvalid: 400, resource.CodeUnsupported: 400, resource.CodeForbidden: 403,
		resource.CodeNotFound: 404, resource.CodeImageNotFound: 404, resource.CodeConflict: 409, resource.CodeAlreadyExists: 409,
		resource.CodeRolloutInProgress: 409, resource.CodeModelKnownBad: 409, resource.CodeNotRollbackable: 409,
		resource.CodeInvalidPhase: 409, resource.CodeVersionImmutable: 409, resource.CodeInUse: 409,
		resource.CodeRevisionConflict: 412, resource.CodeTooLarge: 413, resource.CodeTooManyRequests: 429,
		resource.CodeInternal: 500, resource.CodeUnavailable: 503, resource.CodeInsufficientStorage: 507,
	} {
		e.ports.fail = fmt.Errorf("put the set: %w", &resource.Error{Code: code, Detail: "why", Fields: []resource.FieldError{{Pointer: "/spec/x", Detail: "y"}}})
		r := e.want(status, e.do("PUT", "/api/v1/scalesets/hello", ownerToken, scaleSet("hello")))
		p := e.wantCode(code, r)
		if code != resource.CodeInternal && (p.Detail != "why" || len(p.Errors) != 1) {
			t.Errorf("%s: %+v", code, p)
		}
	}
}

func TestFullDiskSaysWhatToDo(t *testing.T) {
	e := newEnv(t)
	e.ports.fail = fmt.Errorf("put the set: %w", store.ErrNoSpace)
	p := e.wantCode(resource.CodeInsufficientStorage, e.want(507, e.do("PUT", "/api/v1/scalesets/hello", ownerToken, scaleSet("hello"))))
	if !strings.Contains(p.Detail, "nothing was written") || !strings.Contains(p.Detail, "Free space") {
		t.Errorf("detail %q", p.Detail)
	}
}

func TestInternalErrorsAreNotShown(t *testing.T) {
	e := newEnv(t)
	e.put(doc(resource.KindScaleSet, "hello", `{"image":"hello:1.0.0"}`, `{}`))
	e.ports.fail = errBoom
	r := e.want(500, e.do("PUT", "/api/v1/scalesets/hello", ownerToken, scaleSet("hello")))
	p := e.wantCode(resource.CodeInternal, r)
	if strings.Contains(string(r.body), "hunter2") {
		t.Errorf("the cause is shown: %s", r.body)
	}
	id := p.Detail[strings.LastIndexByte(p.Detail, ' ')+1:]
	if log := e.logs.String(); !strings.Contains(log, id) || !strings.Contains(log, "boom") {
		t.Errorf("the log does not have the cause under %q", id)
	}
}

type panics struct{}

func (panics) ServeHTTP(http.ResponseWriter, *http.Request) { panic("oh no") }

func TestPanicIsA500(t *testing.T) {
	e := newEnv(t, func(o *Options) { o.Registry = panics{} })
	e.wantCode(resource.CodeInternal, e.do("GET", "/v2/", "", ""))
	if log := e.logs.String(); !strings.Contains(log, "oh no") || !strings.Contains(log, "ServeHTTP") {
		t.Error("the log does not have the panic with its stack")
	}
	e.want(200, e.do("GET", "/healthz", "", ""))
}

func TestAuditLog(t *testing.T) {
	e := newEnv(t)
	e.do("PUT", "/api/v1/scalesets/hello?force=true&sig=s3cret", ownerToken, scaleSet("hello"))
	e.do("PUT", "/api/v1/scalesets/hello?force=true", ownerToken, scaleSet("hello"))
	e.do("DELETE", "/api/v1/scalesets/hello", readerToken, "")
	e.do("GET", "/api/v1/scalesets/hello", readerToken, "")
	e.do("POST", "/api/v1/apply", ownerToken, "["+scaleSet("hello")+","+scaleSet("other")+"]")
	type line struct {
		Msg, Who, Method, Path, Code string
		Status                       int
		Force                        bool
		Documents                    []string
	}
	var got []line
	for text := range strings.Lines(e.logs.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		if l.Msg == "audit" {
			got = append(got, l)
		}
	}
	want := []line{
		{"audit", "root", "PUT", "/api/v1/scalesets/hello", "invalid", 400, false, nil},
		{"audit", "root", "PUT", "/api/v1/scalesets/hello", "", 201, true, nil},
		{"audit", "ro", "DELETE", "/api/v1/scalesets/hello", "forbidden", 403, false, nil},
		{"audit", "root", "POST", "/api/v1/apply", "", 200, false, []string{"ScaleSet other"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("audit:\n%+v, want\n%+v", got, want)
	}
	if strings.Contains(e.logs.String(), "s3cret") {
		t.Error("a query is in the log")
	}
}
