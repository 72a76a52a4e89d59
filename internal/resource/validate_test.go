package resource

import (
	"fmt"
	"strings"
	"testing"
)

// checkSpecs decodes each spec; want maps it to "" or to "POINTER: part of the detail".
func checkSpecs(t *testing.T, kind, name string, specs map[string]string) {
	t.Helper()
	for spec, want := range specs {
		_, err := Decode(kind, doc(kind, name, spec))
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", spec, err)
			}
			continue
		}
		pointer, detail, _ := strings.Cut(want, ": ")
		expectFields(t, spec, err, CodeInvalid, map[string]string{pointer: detail})
	}
}

func TestValidateScaleSet(t *testing.T) {
	specs := map[string]string{}
	for field, want := range map[string]string{
		`"capacity":10000`:                   "",
		`"capacity":10001`:                   "/spec/capacity: write 0 to 10000",
		`"command":["./server","--name",""]`: "",
		`"command":[""]`:                     "/spec/command/0: the program's name is empty",
		`"command":["a\u0000"]`:              "/spec/command/0: NUL",
		`"command":[]`:                       "",
		`"env":{"":"x"}`:                     "/spec/env/: cannot name",
		`"env":{"A":"\u0000"}`:               "/spec/env/A: NUL",
		`"env":{"A\u0000":"x"}`:              "/spec/env/A\x00: NUL",
		fmt.Sprintf(`"env":{"A":%q}`, strings.Repeat("x", maxArgument)): "/spec/env/A: longer than",
		`"root":"host"`:                                         "",
		`"root":"image"`:                                        "",
		`"root":"imag"`:                                         "/spec/root: did you mean image?",
		`"root":"chroot"`:                                       "/spec/root: write host or image",
		`"resources":{}`:                                        "",
		`"resources":{"cpu":0}`:                                 "/spec/resources/cpu: leave it out for no limit",
		`"resources":{"cpu":-1}`:                                "/spec/resources/cpu: out of range",
		`"resources":{"cpu":0.001}`:                             "",
		`"resources":{"memory":0}`:                              "/spec/resources/memory: 1MiB or more",
		`"resources":{"memory":"-1MiB"}`:                        "/spec/resources/memory: not a number of bytes",
		`"resources":{"pids":0}`:                                "/spec/resources/pids: write 1 to",
		`"stopTimeout":"2h"`:                                    "/spec/stopTimeout: write 0s to 1h",
		`"stopTimeout":"-1s"`:                                   "/spec/stopTimeout: negative",
		`"dataRetention":"9000h"`:                               "/spec/dataRetention: write 0s to 8760h",
		`"health":{"path":"/healthz?full=1"}`:                   "",
		`"health":{"path":""}`:                                  "",
		`"health":{"path":"healthz"}`:                           "/spec/health/path: begins with /",
		`"health":{"path":"http://a/b"}`:                        "/spec/health/path: begins with /",
		`"health":{"path":"/a b"}`:                              "/spec/health/path: has no blanks",
		`"health":{"path":"/a\r\nHost: x"}`:                     "/spec/health/path: is not a path",
		`"health":{"path":"//evil/x"}`:                          "",
		`"health":{"path":"/a","process":true}`:                 "/spec/health/process: leave out path or process",
		`"health":{"process":true}`:                             "",
		`"health":{"interval":"0s"}`:                            "/spec/health/interval: write 1ms to 1h",
		`"health":{"timeout":"0s"}`:                             "/spec/health/timeout: write 1ms to 1h",
		`"health":{"unhealthyThreshold":0}`:                     "/spec/health/unhealthyThreshold: write 1 to 1000",
		`"health":{"healthyThreshold":0}`:                       "/spec/health/healthyThreshold: write 1 to 1000",
		`"health":{"gracePeriod":"25h"}`:                        "/spec/health/gracePeriod: write 0s to 24h",
		`"upgradePolicy":{"mode":"Manual"}`:                     "",
		`"upgradePolicy":{"mode":"Canary"}`:                     "/spec/upgradePolicy/mode: write BlueGreen or Manual",
		`"upgradePolicy":{"mode":""}`:                           "/spec/upgradePolicy/mode: write BlueGreen or Manual",
		`"upgradePolicy":{"blueGreen":{"startTimeout":"0s"}}`:   "/spec/upgradePolicy/blueGreen/startTimeout: write 1ms to 24h",
		`"upgradePolicy":{"blueGreen":{"bakeTime":"48h"}}`:      "/spec/upgradePolicy/blueGreen/bakeTime: write 0s to 24h",
		`"upgradePolicy":{"blueGreen":{"keepPrevious":"721h"}}`: "/spec/upgradePolicy/blueGreen/keepPrevious: write 0s to 720h",
		`"upgradePolicy":{"blueGreen":{"maxErrorRate":"101%"}}`: "/spec/upgradePolicy/blueGreen/maxErrorRate: write 0% to 100%",
		`"upgradePolicy":{"blueGreen":{"maxErrorRate":0.5}}`:    "",
		`"upgradePolicy":{"blueGreen":{"minRequests":-1}}`:      "/spec/upgradePolicy/blueGreen/minRequests: write 0 to",
	} {
		specs[`{"image":"hello",`+field+`}`] = want
	}
	for field, want := range map[string]string{
		`"promotion":"Manual"`:                    "",
		`"promotion":"manual"`:                    "/promotion: did you mean Manual?",
		`"promotion":""`:                          "/promotion: write Automatic or Manual",
		`"minSample":0`:                           "",
		`"minSample":-1`:                          "/minSample: write 0 to",
		`"preview":{"listen":"127.0.0.1:0"}`:      "",
		`"preview":{}`:                            "/preview/listen: expected HOST:PORT",
		`"preview":{"listen":"8081"}`:             "/preview/listen: has no port",
		`"preview":{"listen":"a b:8081"}`:         "/preview/listen: neither an IP address",
		`"validate":{"path":"/selftest"}`:         "",
		`"validate":{"path":"/a","expect":204}`:   "",
		`"validate":{}`:                           "/validate/path: expected the path",
		`"validate":{"path":"selftest"}`:          "/validate/path: begins with /",
		`"validate":{"path":"/a","expect":99}`:    "/validate/expect: write 100 to 599",
		`"validate":{"path":"/a","expect":600}`:   "/validate/expect: write 100 to 599",
		`"validate":{"path":"/a","timeout":"0s"}`: "/validate/timeout: write 1ms to 1h",
		`"canary":[]`:                             "",
		`"canary":[{"percent":1,"hold":"1ms"}]`:   "",
		`"canary":[{"percent":10,"hold":"30s"},{"percent":50,"hold":"30s"}]`: "",
		`"canary":[{"percent":0,"hold":"30s"}]`:                              "/canary/0/percent: write 1 to 99",
		`"canary":[{"percent":100,"hold":"30s"}]`:                            "/canary/0/percent: write 1 to 99",
		`"canary":[{"percent":1.5,"hold":"30s"}]`:                            "/canary/0/percent: expected a whole number",
		`"canary":[{"hold":"30s"}]`:                                          "/canary/0/percent: write 1 to 99",
		`"canary":[{"percent":10}]`:                                          "/canary/0/hold: write 1ms to 24h",
		`"canary":[{"percent":10,"hold":"0s"}]`:                              "/canary/0/hold: write 1ms to 24h",
		`"canary":[{"percent":10,"hold":"1s"},{"percent":10,"hold":"1s"}]`:   "/canary/1/percent: not more than the step before",
		`"canary":{"percent":10,"hold":"1s"}`:                                "/canary: expected a list",
		`"canary":[{"percent":10,"hold":"1s"}],"maxP99Ratio":2`:              "",
		`"canary":[{"percent":10,"hold":"1s"}],"maxP99Ratio":0`:              "/maxP99Ratio: out of range",
		`"canary":[{"percent":10,"hold":"1s"}],"requireAnalysis":true`:       "",
		`"maxP99Ratio":2`:         "/maxP99Ratio: add canary",
		`"requireAnalysis":true`:  "/requireAnalysis: add canary",
		`"requireAnalysis":false`: "",
	} {
		if want != "" {
			want = "/spec/upgradePolicy/blueGreen" + want
		}
		specs[`{"image":"hello","upgradePolicy":{"blueGreen":{`+field+`}}}`] = want
	}
	for image, want := range map[string]string{
		"":                 "/spec/image: expected an image",
		"hello:latest":     "/spec/image: is not a version",
		"hello@sha256:abc": "/spec/image: has no digest",
		"Hello":            "/spec/image: is not a name",
		"team/hello:1.2.3": "",
	} {
		specs[fmt.Sprintf(`{"image":%q}`, image)] = want
	}
	checkSpecs(t, KindScaleSet, "hello", specs)
}

func TestValidateLoadBalancer(t *testing.T) {
	specs := map[string]string{}
	for listen, want := range map[string]string{
		"127.0.0.1:8080": "", ":8080": "", "0.0.0.0:0": "", "[::1]:8080": "", "localhost:80": "",
		"":                "/spec/listen: expected HOST:PORT",
		"8080":            "/spec/listen: has no port",
		"127.0.0.1":       "/spec/listen: has no port",
		"127.0.0.1:http":  "/spec/listen: no port number",
		"127.0.0.1:":      "/spec/listen: no port number",
		"127.0.0.1:+80":   "/spec/listen: no port number",
		"127.0.0.1:65536": "/spec/listen: 0 to 65535",
		"127.0.0.1:-1":    "/spec/listen: 0 to 65535",
		"::1:8080":        "/spec/listen: in brackets",
		"[localhost]:80":  "/spec/listen: not an IPv6 address",
		"a b:80":          "/spec/listen: neither an IP address",
		"127.1:80":        "/spec/listen: neither an IP address",
		"2130706433:80":   "/spec/listen: neither an IP address",
		"0x7f000001:80":   "/spec/listen: neither an IP address",
		"127.0.0.08:80":   "/spec/listen: neither an IP address",
		"shop1:80":        "", "1.example:80": "",
		"http://a:80": "/spec/listen: in brackets",
	} {
		specs[fmt.Sprintf(`{"listen":%q,"backend":"hello"}`, listen)] = want
	}
	for field, want := range map[string]string{
		`"backend":"hello"`: "",
		`"backend":{"addresses":["127.0.0.1:9000","db.example:80","[::1]:9000"]}`: "",
		`"drainTimeout":"1s"`:                              "/spec/backend: expected a backend",
		`"routes":[]`:                                      "/spec/backend: expected a backend",
		`"backend":""`:                                     "/spec/backend: the name of a ScaleSet",
		`"backend":"He llo"`:                               "/spec/backend: is not a name",
		`"backend":"127.0.0.1:9000"`:                       "/spec/backend: or {addresses",
		`"backend":["a"]`:                                  "/spec/backend: or {addresses",
		`"backend":{}`:                                     "/spec/backend/addresses: expected 1 to 1000",
		`"backend":{"addresses":[]}`:                       "/spec/backend/addresses: expected 1 to 1000",
		`"backend":{"addresses":["a"]}`:                    "/spec/backend/addresses/0: has no port",
		`"backend":{"addresses":["a:0"]}`:                  "/spec/backend/addresses/0: 1 to 65535",
		`"backend":{"addresses":[":80"]}`:                  "/spec/backend/addresses/0: has no host",
		`"backend":{"addresses":["a:1","a:1"]}`:            "/spec/backend/addresses/1: there already, as item 0",
		`"backend":"hello","routes":[{"backend":"hello"}]`: "/spec/routes: not both",
		`"routes":[{"path":"/a","backend":"x"},{"path":"/b","backend":"x"}]`:                       "",
		`"routes":[{"host":"shop.example","backend":"x"},{"host":"*.shop.example","backend":"y"}]`: "",
		`"routes":[{"path":"/a"}]`:                                                                                "/spec/routes/0/backend: expected a backend",
		`"routes":[{"backend":{"addresses":["a"]}}]`:                                                              "/spec/routes/0/backend/addresses/0: has no port",
		`"routes":[{"path":"/a","backend":"x"},{"path":"/a/","backend":"y"}]`:                                     "/spec/routes/1: matches the same as route 0",
		`"routes":[{"backend":"x"},{"path":"/","backend":"y"}]`:                                                   "/spec/routes/1: matches the same as route 0",
		`"routes":[{"host":"a","backend":"x"},{"host":"b","backend":"x"},{"host":"a","backend":"y"}]`:             "/spec/routes/2: matches the same as route 0",
		`"routes":[{"path":"a","backend":"x"}]`:                                                                   "/spec/routes/0/path: begins with /",
		`"routes":[{"path":"/a?b","backend":"x"}]`:                                                                "/spec/routes/0/path: has no query",
		`"routes":[{"path":"/a/../b","backend":"x"}]`:                                                             "/spec/routes/0/path: write /b",
		`"routes":[{"path":"//a","backend":"x"}]`:                                                                 "/spec/routes/0/path: write /a",
		`"routes":[{"host":"Shop.Example","backend":"x"}]`:                                                        "/spec/routes/0/host: write shop.example",
		`"routes":[{"host":"shop.example:80","backend":"x"}]`:                                                     "/spec/routes/0/host: has a port",
		`"routes":[{"host":"a.*.b","backend":"x"}]`:                                                               "/spec/routes/0/host: is not a host",
		`"routes":[{"host":"*","backend":"x"}]`:                                                                   "/spec/routes/0/host: is not a host",
		`"routes":[{"host":"*.","backend":"x"}]`:                                                                  "/spec/routes/0/host: is not a host",
		`"backend":"x","protocol":"udp"`:                                                                          "/spec/protocol: write http",
		`"backend":"x","protocol":"http","backendProtocol":"http1"`:                                               "",
		`"backend":"x","protocol":"tcp","probe":{"path":"/up"},"limits":{"maxBodyBytes":0,"headerTimeout":"10s"}`: "",
		`"routes":[{"backend":"x"}],"protocol":"tcp"`:                                                             "",
		`"backend":"x","backendProtocol":"h2c"`:                                                                   "",
		`"backend":"x","backendProtocol":"h2"`:                                                                    "/spec/backendProtocol: ",
		`"backend":"x","protocol":"tcp","backendProtocol":"h2c"`:                                                  "/spec/backendProtocol: remove it",
		`"routes":[{"host":"a","backend":"x"}],"protocol":"tcp"`:                                                  "/spec/routes/0/host: remove it, or write protocol: http",
		`"routes":[{"backend":"x"},{"path":"/a","backend":"x"}],"protocol":"tcp"`:                                 "/spec/routes/1/path: remove it",
		`"backend":"x","protocol":"tcp","trustedProxies":["10.0.0.0/8"]`:                                          "/spec/trustedProxies: remove it",
		`"backend":"x","protocol":"tcp","limits":{"maxHeaderBytes":"1MiB"}`:                                       "/spec/limits/maxHeaderBytes: remove it",
		`"backend":"x","protocol":"tcp","limits":{"maxBodyBytes":"1MiB"}`:                                         "/spec/limits/maxBodyBytes: remove it",
		`"backend":"x","protocol":"tcp","limits":{"headerTimeout":"1s"}`:                                          "/spec/limits/headerTimeout: remove it",
		`"backend":"x","protocol":"tcp","limits":{"requestTimeout":"1s"}`:                                         "/spec/limits/requestTimeout: remove it",
		`"backend":"x","protocol":"tcp","affinity":{"cookie":"a"}`:                                                "/spec/affinity: remove it",
		`"backend":"x","affinity":{"cookie":"Front_instance-1.a"}`:                                                "",
		`"backend":"x","affinity":{}`:                                                                             "/spec/affinity/cookie: expected the name",
		`"backend":"x","affinity":{"cookie":"a=b"}`:                                                               "/spec/affinity/cookie: is not a cookie's name",
		`"backend":"x","affinity":{"cookie":"a\u0000"}`:                                                           "/spec/affinity/cookie: is not a cookie's name",
		`"backend":"x","affinity":{"cookie":"__Host-a"}`:                                                          "/spec/affinity/cookie: rules of their own",
		`"backend":"x","affinity":{"cookie":"drover_session"}`:                                                    "/spec/affinity/cookie: Drover's own",
		`"backend":"x","protocol":"tcp","tls":{"certificates":[{"certFile":"/a","keyFile":"/b"}]}`:                "/spec/tls: or write protocol: http",
		`"backend":"x","tls":{"certificates":[{"certFile":"/a","keyFile":"/b"}],"redirectFrom":":79"}`:            "",
		`"backend":"x","tls":{"certificates":[{"certFile":"/a","keyFile":"/b"}],"redirectFrom":":80"}`:            "/spec/tls/redirectFrom: needs another port",
		`"backend":"x","tls":{"certificates":[{"certFile":"/a","keyFile":"/b"}],"redirectFrom":"80"}`:             "/spec/tls/redirectFrom: has no port",
		`"backend":"x","tls":{"redirectFrom":":79"}`:                                                              "/spec/tls: expected certificates",
		`"backend":"x","tls":{"acme":{"names":["a.example","b.example"]}}`:                                        "",
		`"backend":"x","tls":{"acme":{"email":"ops@a.example","directory":"https://ca.example/dir","names":["a.example"]},"redirectFrom":":79","certificates":[{"certFile":"/a","keyFile":"/b"}]}`: "",
		`"backend":"x","tls":{"acme":{}}`:                                                                          "/spec/tls/acme/names: expected 1 to 100 names",
		`"backend":"x","tls":{"acme":{"names":[]}}`:                                                                "/spec/tls/acme/names: expected 1 to 100 names",
		`"backend":"x","tls":{"acme":{"names":["a.example","a.example"]}}`:                                         "/spec/tls/acme/names/1: there already, as item 0",
		`"backend":"x","tls":{"acme":{"names":["*.a.example"]}}`:                                                   "/spec/tls/acme/names/0: cannot be shown by tls-alpn-01",
		`"backend":"x","tls":{"acme":{"names":["A.example"]}}`:                                                     "/spec/tls/acme/names/0: write a.example",
		`"backend":"x","tls":{"acme":{"names":["10.0.0.1"]}}`:                                                      "/spec/tls/acme/names/0: is an address",
		`"backend":"x","tls":{"acme":{"names":["a.example:443"]}}`:                                                 "/spec/tls/acme/names/0: is not a host's name",
		`"backend":"x","tls":{"acme":{"names":[""]}}`:                                                              "/spec/tls/acme/names/0: is not a host's name",
		`"backend":"x","tls":{"acme":{"email":"nobody","names":["a"]}}`:                                            "/spec/tls/acme/email: is not an e-mail address",
		`"backend":"x","tls":{"acme":{"email":"N <n@a.example>","names":["a"]}}`:                                   "/spec/tls/acme/email: is not an e-mail address",
		`"backend":"x","tls":{"acme":{"directory":"http://ca.example/dir","names":["a"]}}`:                         "/spec/tls/acme/directory: is not an authority's URL",
		`"backend":"x","tls":{"acme":{"directory":"https://u:p@ca.example/dir","names":["a"]}}`:                    "/spec/tls/acme/directory: is not an authority's URL",
		`"backend":"x","tls":{}`:                                                                                   "/spec/tls: expected certificates",
		`"backend":"x","tls":{"certificates":[]}`:                                                                  "/spec/tls: expected certificates",
		`"backend":"x","tls":{"certificates":[{"certFile":"/a","keyFile":"/b"},{"certFile":"/c","keyFile":"/c"}]}`: "",
		`"backend":"x","tls":{"certificates":[{"certFile":"/a","keyFile":"/b"},{"certFile":"/a","keyFile":"/b"}]}`: "/spec/tls/certificates/1: there already, as item 0",
		`"backend":"x","tls":{"certificates":[{"keyFile":"/b"}]}`:                                                  "/spec/tls/certificates/0/certFile: expected the path",
		`"backend":"x","tls":{"certificates":[{"certFile":"/a"}]}`:                                                 "/spec/tls/certificates/0/keyFile: expected the path",
		`"backend":"x","tls":{"certificates":[{"certFile":"a","keyFile":"/b"}]}`:                                   "/spec/tls/certificates/0/certFile: is not an absolute path",
		`"backend":"x","tls":{"certificates":[{"certFile":"/a/../b","keyFile":"/b"}]}`:                             "/spec/tls/certificates/0/certFile: write /b",
		`"backend":"x","probe":{}`:                                                                                 "",
		`"backend":"x","probe":{"path":"up"}`:                                                                      "/spec/probe/path: begins with /",
		`"backend":"x","probe":{"interval":"0s"}`:                                                                  "/spec/probe/interval: write 1ms to 1h",
		`"backend":"x","probe":{"timeout":"2h"}`:                                                                   "/spec/probe/timeout: write 1ms to 1h",
		`"backend":"x","probe":{"healthyThreshold":-1}`:                                                            "/spec/probe/healthyThreshold: write 1 to 1000",
		`"backend":"x","trustedProxies":["10.0.0.0/8","10.1.2.3","fd00::/8","::1"]`:                                "",
		`"backend":"x","trustedProxies":["10.0.0.0/8","10.0.0.0/33"]`:                                              "/spec/trustedProxies/1: is not a network",
		`"backend":"x","trustedProxies":["proxy.example"]`:                                                         "/spec/trustedProxies/0: is not a network",
		`"backend":"x","drainTimeout":"25h"`:                                                                       "/spec/drainTimeout: write 0s to 24h",
		`"backend":"x","queueTimeout":"2h"`:                                                                        "/spec/queueTimeout: write 0s to 1h",
		`"backend":"x","limits":{"maxHeaderBytes":10}`:                                                             "/spec/limits/maxHeaderBytes: write 1KiB to 16MiB",
		`"backend":"x","limits":{"maxConnections":-1}`:                                                             "/spec/limits/maxConnections: write 0 to",
		`"backend":"x","limits":{"maxQueue":-1}`:                                                                   "/spec/limits/maxQueue: write 0 to",
		`"backend":"x","limits":{"maxBodyBytes":"10MB"}`:                                                           "",
	} {
		specs[`{"listen":":80",`+field+`}`] = want
	}
	checkSpecs(t, KindLoadBalancer, "front", specs)
}

func TestValidateGalleryAndToken(t *testing.T) {
	checkSpecs(t, KindImage, "team/web", map[string]string{
		`{"osType":"Linux","description":"x","endOfLifeDate":"2030-01-01T00:00:00Z"}`: "",
		`{"osType":"Windows"}`:           "/spec/osType: write Linux",
		`{"endOfLifeDate":"2030-01-01"}`: "/spec/endOfLifeDate: for example 2026-01-31T12:00:00Z",
		`{"endOfLifeDate":5}`:            "/spec/endOfLifeDate: expected a time",
	})
	checkSpecs(t, KindImageVersion, "web:1.4.0", map[string]string{
		`{"excludeFromLatest":true}`:                                       "",
		`{"revoked":{"at":"2026-01-31T12:00:00+02:00","reason":"broken"}}`: "",
		`{"revoked":{"reason":"broken"}}`:                                  "/spec/revoked/at: expected when",
	})
	checkSpecs(t, KindToken, "ci", map[string]string{
		`{"role":"Reader"}`: "",
		`{"role":"Publisher","scopes":["image/hello","scaleset/hello","image/team/*","scaleset/he*","image/*","scaleset/*"],"expires":"2030-01-01T00:00:00Z"}`: "",
		`{}`:                                   "/spec/role: expected a role",
		`{"role":"reader"}`:                    "/spec/role: did you mean Reader?",
		`{"role":"Admin"}`:                     "/spec/role: write Reader or Publisher",
		`{"role":"Reader","scopes":["hello"]}`: "/spec/scopes/0: is not a scope",
		`{"role":"Reader","scopes":["rollout/x"]}`:    "/spec/scopes/0: is not a scope",
		`{"role":"Reader","scopes":["*"]}`:            "/spec/scopes/0: is not a scope",
		`{"role":"Reader","scopes":["image/"]}`:       "/spec/scopes/0: a name is needed",
		`{"role":"Reader","scopes":["image/*/x"]}`:    "/spec/scopes/0: is not an image's name",
		`{"role":"Reader","scopes":["scaleset/a/b"]}`: "/spec/scopes/0: is not a name",
		`{"role":"Reader","scopes":["scaleset/a**"]}`: "/spec/scopes/0: is not a name",
	})
}

func TestValidateOfAStoredDocument(t *testing.T) {
	spec := DefaultScaleSetSpec()
	spec.Image, spec.Capacity = "hello", MaxCapacity+1
	d, err := ScaleSet{Meta: Meta{Kind: KindScaleSet, Name: "hello"}, Spec: spec}.Document()
	if err != nil {
		t.Fatal(err)
	}
	expectFields(t, "too many", Validate(d), CodeInvalid, map[string]string{"/spec/capacity": "0 to 10000"})
	if err := Validate(Document{Meta: Meta{Kind: KindInstance, Name: "hello_1"}}); err != nil {
		t.Error(err)
	}
	expectFields(t, "name", Validate(Document{Meta: Meta{Kind: KindInstance, Name: "hello"}}), CodeInvalid, map[string]string{"/name": "SET_NUMBER"})
}
