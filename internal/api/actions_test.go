package api

import (
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/resource"
)

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
	e.want(204, e.do("POST", "/api/v1/scalesets/hello/rollout", scopedToken, `{"image":"`+runningImage+`"}`))
	e.wantCode(resource.CodeInvalid, e.do("POST", "/api/v1/scalesets/hello/rollout", scopedToken, `{"image":"HELLO"}`))
	e.wantCode(resource.CodeForbidden, e.do("POST", "/api/v1/scalesets/hello/rollout", readerToken, `{}`))

	e.want(200, e.do("POST", "/api/v1/rollouts/hello-1/pause", ownerToken, `{"for":"90m"}`))
	e.want(200, e.do("POST", "/api/v1/rollouts/hello-1/resume", ownerToken, ""))
	e.want(200, e.do("POST", "/api/v1/rollouts/hello-1/cancel", ownerToken, "{}"))
	e.want(200, e.do("POST", "/api/v1/rollouts/hello-1/promote", ownerToken, ""))
	e.wantCode(resource.CodeInvalid, e.do("POST", "/api/v1/rollouts/hello-1/promote", ownerToken, `{"for":"1s"}`))
	e.wantCode(resource.CodeForbidden, e.do("POST", "/api/v1/rollouts/hello-1/promote", readerToken, ""))
	e.wantCode(resource.CodeInvalid, e.do("POST", "/api/v1/rollouts/hello-1/pause", ownerToken, `{"for":"soon"}`))
	e.wantCode(resource.CodeInvalid, e.do("POST", "/api/v1/rollouts/hello-1/cancel", ownerToken, `{"for":"1s"}`))
	e.wantCode(resource.CodeNotFound, e.do("POST", "/api/v1/rollouts/hello-1/explode", ownerToken, ""))
	if len(e.ports.asks) != 4 || e.ports.asks[3].Action != "promote" || e.ports.asks[0].Action != "pause" || e.ports.asks[0].By != "root" || e.ports.asks[0].For.String() != "1h30m" {
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
}

func TestInstanceActions(t *testing.T) {
	e := newEnv(t)
	e.put(doc(resource.KindInstance, "hello_1", `{}`, `{"set":"hello","colour":"blue","health":"Healthy","admission":"InService","goal":"Run","phase":"Running"}`))
	for word, action := range map[string]resource.Action{"restart": resource.ActionRestart, "reimage": resource.ActionReimage, "delete": resource.ActionDelete} {
		path := "/api/v1/instances/hello_1/" + word
		var in resource.Instance
		e.want(200, e.do("POST", path, ownerToken, "")).decode(t, &in)
		if op := in.Status.Operation; op == nil || op.Action != action || op.By != "root" {
			t.Errorf("%s became %+v", word, op)
		}
		e.want(200, e.do("POST", path, ownerToken, "{}"))
		e.wantCode(resource.CodeInvalid, e.do("POST", path, ownerToken, `{"force":true}`))
		e.wantCode(resource.CodeForbidden, e.do("POST", path, readerToken, ""))
		e.wantCode(resource.CodeNotFound, e.do("POST", "/api/v1/instances/hello_2/"+word, ownerToken, ""))
	}
	e.wantCode(resource.CodeNotFound, e.do("POST", "/api/v1/instances/hello_1/explode", ownerToken, ""))
}
