package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

var noOptions store.ListOptions

// event is one server-sent event as a client reads it.
type event struct {
	id         int64
	name, data string
	comment    bool
}

type watcher struct {
	t     testing.TB
	lines *bufio.Reader
}

func (e *env) open(path, token string, headers ...header) *http.Response {
	e.t.Helper()
	ctx, cancel := context.WithCancel(e.t.Context())
	e.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.http.URL+path, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	for _, h := range headers {
		for k, v := range h {
			req.Header.Set(k, v)
		}
	}
	resp, err := e.http.Client().Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func (e *env) watch(path, token string, headers ...header) *watcher {
	e.t.Helper()
	resp := e.open(path, token, headers...)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		b, _ := io.ReadAll(resp.Body)
		e.t.Fatalf("watch %s: %s %s", path, resp.Status, b)
	}
	return &watcher{t: e.t, lines: bufio.NewReader(resp.Body)}
}

// read returns the next event or sign of life; the error is the stream's end.
func (w *watcher) read() (event, error) {
	var ev event
	for {
		line, err := w.lines.ReadString('\n')
		if err != nil {
			return ev, err
		}
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "id":
			if ev.id, err = strconv.ParseInt(value, 10, 64); err != nil {
				return ev, err
			}
		case "event":
			ev.name = value
		case "data":
			ev.data = value
		case "":
			if line == "" {
				return ev, nil
			}
			ev.comment = true
		}
	}
}

// next returns the next event.
func (w *watcher) next() event {
	w.t.Helper()
	for {
		ev, err := w.read()
		if err != nil {
			w.t.Fatalf("the watch ended: %v", err)
		}
		if !ev.comment {
			return ev
		}
	}
}

func (ev event) document(t testing.TB) resource.Document {
	t.Helper()
	var d resource.Document
	if err := json.Unmarshal([]byte(ev.data), &d); err != nil {
		t.Fatalf("event %+v: %v", ev, err)
	}
	return d
}

// TestWatchIsComplete: what a client builds from a list and a watch is what is stored.
func TestWatchIsComplete(t *testing.T) {
	e := newEnv(t)
	e.put(doc(resource.KindImage, "seed", `{"n":0}`, ``))
	var list List
	e.want(200, e.do("GET", "/api/v1/images", ownerToken, "")).decode(t, &list)
	const writers, each = 8, 60
	w := e.watch(fmt.Sprintf("/api/v1/images?watch=true&after=%d", list.Revision), ownerToken)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for n := range each {
				name := fmt.Sprintf("i%d-%d", i, n%5)
				_, err := e.store.Update(t.Context(), func(tx *store.Tx) error {
					if n%7 == 6 {
						return tx.Delete(resource.KindImage, fmt.Sprintf("i%d-%d", i, (n-1)%5))
					}
					_, err := tx.Put(doc(resource.KindImage, name, fmt.Sprintf(`{"n":%d}`, n), ``))
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	end := e.put(doc(resource.KindImage, "end", `{}`, ``))

	seen := map[string]int64{"seed": list.Items[0].Revision}
	last := list.Revision
	for last < end {
		ev := w.next()
		if ev.id <= last {
			t.Fatalf("event %d after %d", ev.id, last)
		}
		last = ev.id
		d := ev.document(t)
		if ev.name == "delete" {
			delete(seen, d.Name)
		} else {
			seen[d.Name] = d.Revision
		}
	}
	if last != end {
		t.Errorf("the last event is %d, want %d", last, end)
	}
	stored, err := e.store.List(t.Context(), resource.KindImage, noOptions)
	if err != nil {
		t.Fatal(err)
	}
	if len(stored.Items) != len(seen) {
		t.Errorf("%d seen, %d stored", len(seen), len(stored.Items))
	}
	for _, d := range stored.Items {
		if seen[d.Name] != d.Revision {
			t.Errorf("%s: seen at %d, stored at %d", d.Name, seen[d.Name], d.Revision)
		}
	}
}

func TestWatchShowsOnlyWhatTheScopeCovers(t *testing.T) {
	e := newEnv(t)
	scoped := e.watch("/api/v1/instances?watch=true&after=0", scopedToken)
	bySet := e.watch("/api/v1/instances?watch=true&after=0&set=other", ownerToken)
	e.put(instance("other", 1), instance("hello", 1), instance("other", 2), instance("hello", 2))
	for i := range 2 {
		if d := scoped.next().document(t); d.Name != resource.InstanceName("hello", i+1) {
			t.Errorf("the scoped watch shows %s", d.Name)
		}
		if d := bySet.next().document(t); d.Name != resource.InstanceName("other", i+1) {
			t.Errorf("the watch of a set shows %s", d.Name)
		}
	}
}

func TestWatchByLabel(t *testing.T) {
	e := newEnv(t)
	w := e.watch("/api/v1/images?watch=true&label=app%3Da", ownerToken)
	labelled := func(name, value string) {
		d := doc(resource.KindImage, name, `{}`, ``)
		d.Labels = map[string]string{"app": value}
		e.put(d)
	}
	labelled("one", "a")
	labelled("one", "b") // leaves the watch
	labelled("one", "c") // is not news
	labelled("one", "a") // is back
	labelled("two", "a")
	for _, want := range []string{"put one", "delete one", "put one", "put two"} {
		ev := w.next()
		if got := ev.name + " " + ev.document(t).Name; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestWatchResumes(t *testing.T) {
	e := newEnv(t)
	first := e.put(doc(resource.KindImage, "one", `{}`, ``))
	second := e.put(doc(resource.KindImage, "two", `{}`, ``))
	if ev := e.watch("/api/v1/images?watch=true&after=0", ownerToken, header{"Last-Event-ID": strconv.FormatInt(first, 10)}).next(); ev.id != second {
		t.Errorf("resumed at %d, want %d", ev.id, second)
	}
	// A sign of life carries how far the stream is, also for a client that saw no event.
	w := e.watch("/api/v1/rollouts?watch=true", ownerToken)
	ev, err := w.read()
	if err != nil || !ev.comment || ev.id != second {
		t.Errorf("sign of life %+v %v", ev, err)
	}
	e.wantCode(resource.CodeGone, e.do("GET", "/api/v1/images?watch=true&after=999", ownerToken, ""))
	e.wantCode(resource.CodeInvalid, e.do("GET", "/api/v1/images?watch=true&limit=5", ownerToken, ""))
	e.wantCode(resource.CodeInvalid, e.do("GET", "/api/v1/images?watch=true", ownerToken, "", header{"Last-Event-ID": "x"}))
}

// TestWatchEndsWithItsToken: at once when its document goes, else at a heartbeat.
func TestWatchEndsWithItsToken(t *testing.T) {
	t.Run("revoked", func(t *testing.T) {
		e := newEnv(t, func(o *Options) { o.Heartbeat = time.Hour })
		e.put(doc(resource.KindToken, "ro", `{"role":"Reader"}`, ``))
		w := e.watch("/api/v1/images?watch=true", readerToken)
		log, write := e.follow(readerToken)
		write("line\n")
		e.auth.revoke(readerToken)
		e.want(200, e.do("DELETE", "/api/v1/tokens/ro", ownerToken, ""))
		w.wantRefused(t)
		if text, err := io.ReadAll(log); err == nil {
			t.Errorf("the log ended as if it were whole: %q", text)
		}
	})
	t.Run("expired", func(t *testing.T) {
		e := newEnv(t)
		w := e.watch("/api/v1/images?watch=true", readerToken)
		e.auth.revoke(readerToken)
		w.wantRefused(t)
	})
	t.Run("before a change", func(t *testing.T) {
		e := newEnv(t, func(o *Options) { o.Heartbeat = time.Hour })
		w := e.watch("/api/v1/images?watch=true", readerToken)
		e.auth.revoke(readerToken) // nothing tells of it
		e.put(doc(resource.KindImage, "secret", `{}`, ``))
		w.wantRefused(t)
	})
}

// wantRefused reads the end of a stream whose token is no longer valid.
func (w *watcher) wantRefused(t *testing.T) {
	t.Helper()
	ev := w.next()
	var p Problem
	if err := json.Unmarshal([]byte(ev.data), &p); err != nil || ev.name != "error" || p.Code != resource.CodeUnauthenticated {
		t.Errorf("%+v %v", ev, err)
	}
	if _, err := w.read(); err != io.EOF {
		t.Errorf("the stream goes on: %v", err)
	}
}

func TestWatchEndsWithTheServer(t *testing.T) {
	e := newEnv(t)
	w := e.watch("/api/v1/images?watch=true", ownerToken)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := e.http.Config.Shutdown(ctx); err != nil {
		t.Fatalf("a watch holds the server up: %v", err)
	}
	for {
		ev, err := w.read()
		if err != nil {
			break
		}
		if !ev.comment {
			t.Errorf("event %+v", ev)
		}
	}
	if _, err := e.api.enterStream(caller{}); !resource.IsCode(err, resource.CodeUnavailable) {
		t.Errorf("a stream after the end: %v", err)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	e := newEnv(t)
	enter := func(who string, n int) {
		for range n {
			leave, err := e.api.enterStream(caller{name: who})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(leave)
		}
	}
	enter("ro", maxOwnStreams)
	e.wantCode(resource.CodeTooManyRequests, e.do("GET", "/api/v1/images?watch=true", readerToken, ""))
	e.watch("/api/v1/images?watch=true", ownerToken) // others still have theirs
	for i := range 3 {
		enter("other "+strconv.Itoa(i), maxOwnStreams-i/2)
	}
	e.wantCode(resource.CodeTooManyRequests, e.do("GET", "/api/v1/images?watch=true", ownerToken, ""))
}

// TestSlowWatcherIsTold: who falls behind the ring gets an error event, not a gap.
func TestSlowWatcherIsTold(t *testing.T) {
	e := newEnv(t)
	old := e.put(doc(resource.KindImage, "one", `{"n":0}`, ``))
	w, err := e.store.Watch(t.Context(), old, store.Filter{Kinds: []string{resource.KindImage}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for i := range 9000 {
		if i%500 == 0 { // many to a commit
			_, err := e.store.Update(t.Context(), func(tx *store.Tx) error {
				for n := range 500 {
					if _, err := tx.Put(doc(resource.KindImage, "one", fmt.Sprintf(`{"n":%d}`, i+n), ``)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	e.wantCode(resource.CodeGone, e.do("GET", fmt.Sprintf("/api/v1/images?watch=true&after=%d", old), ownerToken, ""))
	rec := newRecorder()
	c := &call{who: e.auth.known[ownerToken], secret: ownerToken, control: http.NewResponseController(rec)}
	ws := &watchStream{server: e.api, call: c, filter: filter{kind: resource.KindImage, who: c.who}, changes: w, out: rec, hidden: map[string]bool{}}
	ws.run(t.Context())
	if got := rec.Body.String(); !strings.HasPrefix(got, "event: error\ndata: ") || !strings.Contains(got, `"code":"gone"`) {
		t.Errorf("the slow watcher got %q", got)
	}
}
