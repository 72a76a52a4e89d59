package api

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/droverhq/drover/internal/resource"
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
	if !strings.Contains(string(created.body), `"labels":{},"annotations":{},`) || string(d.Status) == "" {
		t.Errorf("the envelope is not complete: %s", created.body)
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
