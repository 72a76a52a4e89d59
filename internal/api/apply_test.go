package api

import (
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/resource"
)

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

// Where a load balancer redirects from is an address like any other that is listened on.
func TestWhereALoadBalancerMayRedirectFrom(t *testing.T) {
	e := newEnv(t)
	redirecting := func(name, listen, from string) string {
		return `{"kind":"LoadBalancer","name":"` + name + `","spec":{"listen":"` + listen + `","backend":"hello","tls":{"acme":{"names":["a.example"]},"redirectFrom":"` + from + `"}}}`
	}
	e.want(200, e.do("POST", "/api/v1/apply", ownerToken, "["+balancer("front", "127.0.0.1:8080")+","+redirecting("secure", "127.0.0.1:8443", "127.0.0.1:8079")+"]"))
	for _, test := range []struct{ path, body, pointer, by string }{
		{"loadbalancers/secure", redirecting("secure", "127.0.0.1:8443", "127.0.0.1:7400"), "/spec/tls/redirectFrom", "Drover's own API"},
		{"loadbalancers/secure", redirecting("secure", "127.0.0.1:8443", "0.0.0.0:8080"), "/spec/tls/redirectFrom", "the load balancer front"},
		{"loadbalancers/front", balancer("front", "127.0.0.1:8079"), "/spec/listen", "the load balancer secure"},
		{"loadbalancers/other", redirecting("other", "127.0.0.1:9443", "127.0.0.1:8079"), "/spec/tls/redirectFrom", "the load balancer secure"},
	} {
		p := e.wantCode(resource.CodeInvalid, e.do("PUT", "/api/v1/"+test.path, ownerToken, test.body))
		if len(p.Errors) != 1 || p.Errors[0].Pointer != test.pointer || !strings.HasSuffix(p.Errors[0].Detail, "is taken by "+test.by) {
			t.Errorf("%s: %+v", test.body, p.Errors)
		}
	}
	e.want(200, e.do("PUT", "/api/v1/loadbalancers/secure", ownerToken, redirecting("secure", "127.0.0.1:8443", "127.0.0.1:8079")))
}

// A preview listens by the rules of a load balancer, and neither takes the other's address.
func TestWhereAPreviewMayListen(t *testing.T) {
	e := newEnv(t)
	previewed := func(name, listen string) string {
		return `{"kind":"ScaleSet","name":"` + name + `","spec":{"image":"hello:1.0.0","upgradePolicy":{"blueGreen":{"preview":{"listen":"` + listen + `"}}}}}`
	}
	const at = "/spec/upgradePolicy/blueGreen/preview/listen"
	e.want(200, e.do("POST", "/api/v1/apply", ownerToken, "["+balancer("front", "127.0.0.1:8080")+","+previewed("hello", "127.0.0.1:8081")+"]"))
	for _, test := range []struct{ path, body, pointer, by string }{
		{"scalesets/hello", previewed("hello", "127.0.0.1:7400"), at, "Drover's own API"},
		{"scalesets/hello", previewed("hello", "0.0.0.0:8080"), at, "the load balancer front"},
		{"scalesets/other", previewed("other", "127.0.0.1:8081"), at, "the preview of the scale set hello"},
		{"loadbalancers/front", balancer("front", "127.0.0.1:8081"), "/spec/listen", "the preview of the scale set hello"},
	} {
		p := e.wantCode(resource.CodeInvalid, e.do("PUT", "/api/v1/"+test.path, ownerToken, test.body))
		if len(p.Errors) != 1 || p.Errors[0].Pointer != test.pointer || !strings.HasSuffix(p.Errors[0].Detail, "is taken by "+test.by) {
			t.Errorf("%s: %+v", test.body, p.Errors)
		}
	}
	e.want(200, e.do("PUT", "/api/v1/scalesets/hello", ownerToken, previewed("hello", "127.0.0.1:8081")))
	e.want(200, e.do("PUT", "/api/v1/scalesets/hello", ownerToken, previewed("hello", "127.0.0.1:0")))
}
