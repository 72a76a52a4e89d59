package imds_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/droverhq/drover/internal/identity/imds"
)

const (
	notFound    = `{"error":"Not found"}`
	notAllowed  = `{"error":"Not allowed"}`
	noMetadata  = `{"error":"Bad request. Required metadata header not specified"}`
	forwarded   = `{"error":"Bad request. X-Forwarded-For is not allowed"}`
	twice       = `{"error":"Bad request. A query parameter is given more than once"}`
	badQuery    = `{"error":"Bad request. The query string is malformed"}`
	noVersion   = `{"error":"Bad request. api-version is invalid or was not specified in the request","newest-versions":["2025-04-07","2024-07-17","2024-03-15"]}`
	noEventsAt  = `{"error":"Bad request. api-version is invalid or was not specified in the request","newest-versions":["2020-07-01","2019-08-01","2019-04-01"]}`
	emptyEvents = `{"DocumentIncarnation":1,"Events":[]}`
)

func TestCommonRules(t *testing.T) {
	const ok = "Metadata: true"
	for _, c := range []struct {
		name, method, path string
		headers            []string
		status             int
		body               string
	}{
		{"plain", "GET", events, []string{ok}, 200, emptyEvents},
		{"Metadata in any case", "GET", events, []string{"metadata: TRUE"}, 200, emptyEvents},
		{"Metadata as Python writes it", "GET", events, []string{"Metadata: True"}, 200, emptyEvents},
		{"no Metadata", "GET", events, nil, 400, noMetadata},
		{"Metadata is not true", "GET", events, []string{"Metadata: false"}, 400, noMetadata},
		{"Metadata is empty", "GET", events, []string{"Metadata:"}, 400, noMetadata},
		{"Metadata twice, once not true", "GET", events, []string{ok, "Metadata: no"}, 400, noMetadata},
		{"no Metadata for versions", "GET", "/metadata/versions", nil, 400, noMetadata},
		{"forwarded", "GET", events, []string{ok, "X-Forwarded-For: 10.0.0.1"}, 400, forwarded},
		{"forwarded for nobody", "GET", events, []string{ok, "x-forwarded-for:"}, 400, forwarded},
		{"forwarded for versions", "GET", "/metadata/versions", []string{ok, "X-Forwarded-For: ::1"}, 400, forwarded},

		{"no api-version", "GET", "/metadata/instance", []string{ok}, 400, noVersion},
		{"empty api-version", "GET", "/metadata/instance?api-version=", []string{ok}, 400, noVersion},
		{"unknown api-version", "GET", "/metadata/instance?api-version=2021-05-02", []string{ok}, 400, noVersion},
		{"latest is no api-version", "GET", "/metadata/instance?api-version=latest", []string{ok}, 400, noVersion},
		{"no api-version of a leaf", "GET", "/metadata/instance/compute/name?format=text", []string{ok}, 400, noVersion},
		{"no api-version for events", "GET", "/metadata/scheduledevents", []string{ok}, 400, noEventsAt},
		{"a preview of events", "GET", "/metadata/scheduledevents?api-version=2017-03-01", []string{ok}, 400, noEventsAt},
		{"an approval without api-version", "POST", "/metadata/scheduledevents", []string{ok}, 400, noEventsAt},
		{"api-version twice", "GET", events + "&api-version=2020-07-01", []string{ok}, 400, twice},
		{"api-version twice, in other letters", "GET", events + "&API-Version=2020-07-01", []string{ok}, 400, twice},
		{"any name twice", "GET", events + "&x=1&x=2", []string{ok}, 400, twice},
		{"api-version in other letters", "GET", "/metadata/scheduledevents?Api-Version=2020-07-01", []string{ok}, 200, emptyEvents},
		{"an unknown parameter", "GET", events + "&x=1", []string{ok}, 200, emptyEvents},
		{"a malformed query", "GET", events + "&x=%zz", []string{ok}, 400, badQuery},

		{"path in other letters", "GET", "/Metadata/ScheduledEvents?api-version=2020-07-01", []string{ok}, 200, emptyEvents},
		{"a slash at the end", "GET", "/metadata/scheduledevents/?api-version=2020-07-01", []string{ok}, 200, emptyEvents},
		{"below events", "GET", "/metadata/scheduledevents/0?api-version=2020-07-01", []string{ok}, 404, notFound},
		{"another category", "GET", "/metadata/identity/oauth2/token?api-version=2018-02-01", []string{ok}, 404, notFound},
		{"the root", "GET", "/metadata?api-version=2021-05-01", []string{ok}, 404, notFound},
		{"not metadata", "GET", "/latest/meta-data", []string{ok}, 404, notFound},
		{"the secret alone", "GET", "", []string{ok}, 404, notFound},
		{"a doubled slash", "GET", "//metadata/scheduledevents?api-version=2020-07-01", []string{ok}, 404, notFound},

		{"PUT events", "PUT", events, []string{ok}, 405, notAllowed},
		{"POST instance", "POST", instance, []string{ok}, 405, notAllowed},
		{"HEAD instance", "HEAD", instance, []string{ok}, 405, notAllowed},
		{"DELETE versions", "DELETE", "/metadata/versions", []string{ok}, 405, notAllowed},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := imds.New(imds.Options{Source: newSource()})
			w := ask(h, c.method, "/"+secret0+c.path, "", c.headers...)
			requireAnswer(t, w, c.status, c.body)
			if got := w.Header().Get("Content-Type"); got != "application/json; charset=utf-8" {
				t.Errorf("Content-Type: %q", got)
			}
		})
	}
}

func TestAllowNamesTheMethods(t *testing.T) {
	h := imds.New(imds.Options{Source: newSource()})
	for path, want := range map[string]string{events: "GET, POST", instance: "GET", "/metadata/versions": "GET"} {
		if got := ask(h, "PATCH", "/"+secret0+path, "", "Metadata: true").Header().Get("Allow"); got != want {
			t.Errorf("%s: Allow: %q, want %q", path, got, want)
		}
	}
}

func TestVersions(t *testing.T) {
	w := get(imds.New(imds.Options{Source: newSource()}), "/metadata/versions")
	body := w.Body.String()
	if w.Code != 200 || !strings.HasPrefix(body, `{"apiVersions":["2017-03-01","2017-04-02",`) || !strings.Contains(body, `"2021-05-01"`) {
		t.Fatalf("answer: %d %s", w.Code, body)
	}
}

// TestUnknownSecrets: whatever is asked with a wrong secret, the answer is the
// same, byte for byte, and nothing is said of the rest of the request.
func TestUnknownSecrets(t *testing.T) {
	h := imds.New(imds.Options{Source: newSource()})
	want := ask(h, "GET", "/nobody"+events, "", "Metadata: true")
	requireAnswer(t, want, 404, notFound)
	for _, c := range []struct{ method, target, header string }{
		{"GET", "/", "Metadata: true"},
		{"GET", events, "Metadata: true"}, // no secret: "metadata" is taken for one
		{"GET", "//metadata/scheduledevents?api-version=2020-07-01", "Metadata: true"},
		{"GET", "/nobody" + events, "X-Forwarded-For: 10.0.0.1"},
		{"POST", "/nobody" + events, "Metadata: true"},
		{"BREW", "/nobody/coffee?a=1&a=2", "Accept: */*"},
		{"GET", "/" + secret0[:len(secret0)-1] + events, "Metadata: true"},
		{"GET", "/" + secret0 + "x" + events, "Metadata: true"},
		{"GET", "/" + strings.ToUpper(secret0) + events, "Metadata: true"},
		{"GET", "/x/../" + secret0 + events, "Metadata: true"},
	} {
		got := ask(h, c.method, c.target, "", c.header)
		requireAnswer(t, got, 404, notFound)
		var a, b bytes.Buffer
		_, _ = got.Header().Write(&a), want.Header().Write(&b)
		if a.String() != b.String() {
			t.Errorf("%s %s: headers %q, want %q", c.method, c.target, a.String(), b.String())
		}
	}
}

func TestTheSecretIsToldToNobody(t *testing.T) {
	var log bytes.Buffer
	s := newSource()
	s.put(terminate())
	h := imds.New(imds.Options{Source: s, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	var told strings.Builder
	note := func(w *httptest.ResponseRecorder) {
		told.Write(w.Body.Bytes())
		_ = w.Header().Write(&told)
	}
	for _, path := range []string{"", "/", events, instance, "/metadata", "/metadata/instance", "/metadata/versions", events + "&x=%zz"} {
		for _, method := range []string{"GET", "POST", "PUT", "OPTIONS", "CONNECT"} {
			note(ask(h, method, "/"+secret0+path, `{"StartRequests":[{"EventId":"`+secret0+`"}]}`, "Metadata: true"))
		}
	}
	note(post(h, `{"StartRequests":[{"EventId":"`+eventID+`"}]}`))
	s.fail = errors.New("no space left")
	note(post(h, `{"StartRequests":[{"EventId":"`+eventID+`"}]}`))
	if strings.Contains(told.String(), secret0) || strings.Contains(log.String(), secret0) {
		t.Fatalf("the secret is told:\n%s\n%s", told.String(), log.String())
	}
	if !strings.Contains(log.String(), "no space left") || !strings.Contains(log.String(), "set_0") {
		t.Fatalf("the log does not say what failed for whom: %s", log.String())
	}
}

func TestLinkLocal(t *testing.T) {
	s := newSource()
	s.put(terminate())
	callers := map[string]string{"169.254.169.254:40001": "set_1", "169.254.169.254:40002": "gone_0"}
	h := imds.New(imds.Options{Source: s}).LinkLocal(func(remote net.Addr) (string, bool) {
		name, ok := callers[remote.String()]
		return name, ok
	})
	from := func(remote, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", path, nil)
		r.RemoteAddr = remote
		r.Header.Set("Metadata", "true")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	const name = "/metadata/instance/compute/name?api-version=2021-05-01&format=text"
	requireAnswer(t, from("169.254.169.254:40001", name), 200, "set_1")
	requireAnswer(t, from("169.254.169.254:40002", name), 404, notFound)
	requireAnswer(t, from("169.254.169.254:40003", name), 404, notFound)
	requireAnswer(t, from("@", name), 404, notFound)
	requireAnswer(t, from("169.254.169.254:40001", "/"+secret1+events), 404, notFound)
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		h := imds.New(imds.Options{Source: s, Rate: 5})
		link := h.LinkLocal(func(net.Addr) (string, bool) { return "set_0", true })
		for range 4 {
			requireAnswer(t, get(h, events), 200, emptyEvents)
		}
		requireAnswer(t, ask(link, "GET", events, "", "Metadata: true"), 200, emptyEvents)
		for _, path := range []string{events, "/metadata/nothing"} {
			w := get(h, path)
			requireAnswer(t, w, 429, `{"error":"Too many requests"}`)
			if got := w.Header().Get("Retry-After"); got != "1" {
				t.Errorf("Retry-After: %q", got)
			}
		}
		requireAnswer(t, ask(link, "GET", events, "", "Metadata: true"), 429, `{"error":"Too many requests"}`)
		requireAnswer(t, ask(h, "GET", "/"+secret1+events, "", "Metadata: true"), 200, emptyEvents) // a bucket each
		time.Sleep(200 * time.Millisecond)
		requireAnswer(t, get(h, events), 200, emptyEvents)
		if w := get(h, events); w.Code != 429 {
			t.Errorf("the second in 200 ms: %d", w.Code)
		}
		time.Sleep(time.Hour) // does not save up more than a second's worth
		ok := 0
		for range 20 {
			if get(h, events).Code == 200 {
				ok++
			}
		}
		if ok != 5 {
			t.Errorf("after an hour of silence %d of 20 were answered, want 5", ok)
		}
	})
}

func TestRateBelowOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := imds.New(imds.Options{Source: newSource(), Rate: 0.25})
		requireAnswer(t, get(h, events), 200, emptyEvents)
		if w := get(h, events); w.Code != 429 || w.Header().Get("Retry-After") != "4" {
			t.Fatalf("answer: %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
		}
		time.Sleep(4 * time.Second)
		requireAnswer(t, get(h, events), 200, emptyEvents)
	})
}

// TestServerLimits: no wait of the server is without an end.
func TestServerLimits(t *testing.T) {
	s := imds.NewServer(http.NotFoundHandler(), nil)
	for name, d := range map[string]time.Duration{
		"ReadHeaderTimeout": s.ReadHeaderTimeout, "ReadTimeout": s.ReadTimeout, "WriteTimeout": s.WriteTimeout, "IdleTimeout": s.IdleTimeout,
	} {
		if d <= 0 {
			t.Errorf("%s is not set", name)
		}
	}
	if s.MaxHeaderBytes <= 0 || s.ErrorLog == nil {
		t.Error("the server takes headers of any size, or writes to standard error")
	}
}
