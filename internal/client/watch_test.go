package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/droverhq/drover/internal/resource"
)

func set(name string, revision int64, labels map[string]string) resource.Document {
	return resource.Document{Meta: resource.Meta{Kind: resource.KindScaleSet, Name: name, Revision: revision, Labels: labels}}
}

// script is a server that answers one watch or list after the other.
type script struct {
	t     *testing.T
	steps chan func(w http.ResponseWriter, r *http.Request)
}

func newScript(t *testing.T, steps ...func(http.ResponseWriter, *http.Request)) *Client {
	s := script{t: t, steps: make(chan func(http.ResponseWriter, *http.Request), len(steps))}
	for _, step := range steps {
		s.steps <- step
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return newClient(t, Options{Server: server.URL, Token: "x", Patience: 200 * time.Millisecond})
}

func (s script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case step := <-s.steps:
		step(w, r)
	default:
		<-r.Context().Done() // a watch on which nothing happens
	}
}

// events is a step that sends events after the revision it expects, then breaks off.
func events(t *testing.T, after string, frames ...string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.Query().Get("after"); got != after || r.URL.Query().Get("watch") != "true" {
			t.Errorf("watch asked for %q, want after=%s", r.URL.RawQuery, after)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for _, f := range frames {
			io.WriteString(w, f)
		}
	}
}

func frame(name string, d resource.Document) string {
	b, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", d.Revision, name, b)
}

// gather watches until n changes came and describes them.
func gather(t *testing.T, c *Client, o WatchOptions, n int) ([]string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var got []string
	for change, err := range c.Watch(ctx, o) {
		if err != nil {
			return got, err
		}
		verb := "put"
		if change.Deleted {
			verb = "delete"
		}
		got = append(got, fmt.Sprintf("%s %s@%d", verb, change.Document.Name, change.Document.Revision))
		if len(got) == n {
			break
		}
	}
	return got, nil
}

func TestWatchResumes(t *testing.T) {
	interruptions := 0
	c := newScript(t,
		events(t, "4", ": alive\n\n", frame("put", set("a", 5, nil)), frame("put", set("b", 6, nil)), ": alive\nid: 7\n\n", "id: 8\nevent: put\ndata: {\"kind\":"),
		func(w http.ResponseWriter, r *http.Request) { hangUp(t, w) },
		events(t, "7", frame("put", set("b", 6, nil)), frame("put", set("a", 8, nil)), frame("delete", set("b", 9, nil))),
	)
	got, err := gather(t, c, WatchOptions{Kind: "ScaleSet", From: List{Revision: 4}, Interrupted: func(error) { interruptions++ }}, 4)
	want := []string{"put a@5", "put b@6", "put a@8", "delete b@9"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if interruptions != 1 {
		t.Errorf("told of %d interruptions, want 1 (a read whose connection broke is sent again)", interruptions)
	}
}

func TestWatchListsAgainWhenTooFarBehind(t *testing.T) {
	gone := map[string]any{"code": "gone", "detail": "list again"}
	c := newScript(t,
		func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusGone, gone) },
		func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 200, page{Items: []resource.Document{set("same", 2, nil), set("changed", 9, nil), set("new", 8, nil)}, Revision: 20})
		},
		events(t, "20", "id: 20\nevent: error\ndata: {\"code\":\"gone\"}\n\n"),
		func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 200, page{Items: []resource.Document{set("same", 2, nil), set("changed", 9, nil), set("new", 8, nil)}, Revision: 30})
		},
		events(t, "30", frame("delete", set("same", 31, nil))),
	)
	from := List{Items: []resource.Document{set("same", 2, nil), set("changed", 3, nil), set("lost", 4, nil)}, Revision: 4}
	got, err := gather(t, c, WatchOptions{Kind: "ScaleSet", From: from}, 4)
	want := []string{"put changed@9", "put new@8", "delete lost@4", "delete same@31"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// TestWatchSurvivesHalfAList: the server may be killed in the middle of any answer.
func TestWatchSurvivesHalfAList(t *testing.T) {
	gone := func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusGone, map[string]any{"code": "gone"})
	}
	c := newScript(t,
		gone,
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, `{"items":[`)
		},
		gone,
		func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 200, page{Items: []resource.Document{set("new", 8, nil)}, Revision: 20})
		},
	)
	got, err := gather(t, c, WatchOptions{Kind: "ScaleSet", From: List{Revision: 4}}, 1)
	if err != nil || !slices.Equal(got, []string{"put new@8"}) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestWatchFilters(t *testing.T) {
	blue, green := map[string]string{"tier": "blue"}, map[string]string{"tier": "green"}
	c := newScript(t, events(t, "1",
		frame("put", set("other", 2, green)), frame("delete", set("other", 3, green)),
		frame("put", set("a", 4, blue)), frame("put", set("a", 5, green)), frame("put", set("a", 6, blue)), frame("delete", set("a", 7, blue))))
	got, err := gather(t, c, WatchOptions{Kind: "ScaleSet", Filter: Filter{Labels: blue}, From: List{Revision: 1}}, 4)
	want := []string{"put a@4", "delete a@5", "put a@6", "delete a@7"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}

func TestWatchGivesUp(t *testing.T) {
	refuse := func(status int, code string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			answer(w, status, map[string]any{"code": code, "detail": "no"})
		}
	}
	if _, err := gather(t, newScript(t, refuse(403, "forbidden")), WatchOptions{Kind: "ScaleSet"}, 1); !resource.IsCode(err, resource.CodeForbidden) {
		t.Errorf("a refusal: got %v", err)
	}
	var away []func(http.ResponseWriter, *http.Request)
	for range 100 {
		away = append(away, refuse(503, "unavailable"))
	}
	if _, err := gather(t, newScript(t, away...), WatchOptions{Kind: "ScaleSet"}, 1); !resource.IsCode(err, resource.CodeUnavailable) || !strings.Contains(err.Error(), "given up") {
		t.Errorf("a server that stays away: got %v", err)
	}
	broken := events(t, "0", "id: 1\nevent: put\ndata: {\n\n")
	if _, err := gather(t, newScript(t, broken), WatchOptions{Kind: "ScaleSet"}, 1); err == nil || !strings.Contains(err.Error(), "decode revision 1") {
		t.Errorf("an event that is no document: got %v", err)
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := newScript(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
	})
	for _, err := range c.Watch(ctx, WatchOptions{Kind: "ScaleSet"}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
}

func TestEventReader(t *testing.T) {
	text := ": hello\r\nid: 1\r\nevent: put\r\ndata: a\r\ndata:b\r\n\r\nevent: put\n\ndata\n\n: alive\nid: 7\n\nid: 2\ndata: cut off"
	r := newEventReader(strings.NewReader(text))
	for _, want := range []event{{"1", "put", []byte("a\nb")}, {"", "", []byte{}}, {"7", "", nil}} {
		got, err := r.next()
		if err != nil || got.id != want.id || got.name != want.name || string(got.data) != string(want.data) {
			t.Errorf("got %+v %v, want %+v", got, err, want)
		}
	}
	if _, err := r.next(); err != io.EOF {
		t.Errorf("got %v", err)
	}
}

func TestEventReaderLimits(t *testing.T) {
	for name, line := range map[string]string{"one line": "data: " + strings.Repeat("x", maxEvent), "many lines": strings.Repeat("data: xxxxxxxxxxxxxx\n", maxEvent/10)} {
		if _, err := newEventReader(strings.NewReader(line + "\n\n")).next(); err != errEventTooLong {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzEventReader(f *testing.F) {
	f.Add("id: 1\nevent: put\ndata: {}\n\n")
	f.Add("data\n\n\n:x\r\n\r\nid:")
	f.Fuzz(func(t *testing.T, text string) {
		r := newEventReader(strings.NewReader(text))
		for range len(text) + 1 {
			e, err := r.next()
			if err != nil {
				return
			}
			if e.data == nil && e.id == "" || strings.Contains(e.id+e.name, "\n") {
				t.Fatalf("got %+v", e)
			}
		}
		t.Fatal("more events than bytes")
	})
}
