package gateway

import (
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
)

var discard = slog.New(slog.DiscardHandler)

func approvalsIn(t *testing.T, path string) *approvals {
	t.Helper()
	a, err := openApprovals(path, discard)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// An approval is in the file before add returns, and the next gateway has it with
// the time at which it was first given.
func TestApprovalsOutliveTheGateway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "approvals.json")
	a := approvalsIn(t, path)
	first := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		events []string
		at     time.Time
	}{{[]string{"e1"}, first}, {[]string{"e1", "e2"}, first.Add(time.Hour)}} {
		if err := a.add(step.events, step.at); err != nil {
			t.Fatal(err)
		}
	}
	got := approvalsIn(t, path).list()
	if len(got) != 2 || !got["e1"].Equal(first) || !got["e2"].Equal(first.Add(time.Hour)) {
		t.Errorf("the next gateway has %v", got)
	}
	a.retain(map[string]bool{"e2": true})
	if err := a.add([]string{"e3"}, first); err != nil {
		t.Fatal(err)
	}
	if got := approvalsIn(t, path).list(); len(got) != 2 || got["e1"] != (time.Time{}) {
		t.Errorf("what was taken up is still kept: %v", got)
	}
	a.close()
	if err := a.add([]string{"e4"}, first); !errors.Is(err, errStopping) {
		t.Errorf("a gateway that gave way approves: %v", err)
	}
}

// What cannot be kept is not approved, and what cannot be read is set aside.
func TestApprovalsThatCannotBeKept(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "run", "approvals.json")
	a := approvalsIn(t, path) // no such folder
	if err := a.add([]string{"e1"}, time.Now()); err == nil || len(a.list()) != 0 {
		t.Errorf("%v, %v", err, a.list())
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, torn := range []string{"", "{", "null", `{"e1":"yesterday"}`} {
		if err := os.WriteFile(path, []byte(torn), 0o600); err != nil {
			t.Fatal(err)
		}
		if a := approvalsIn(t, path); len(a.list()) != 0 {
			t.Errorf("%q gives %v", torn, a.list())
		}
		aside, err := os.ReadFile(path + ".damaged")
		if err != nil || string(aside) != torn {
			t.Errorf("%q was not set aside: %q, %v", torn, aside, err)
		}
	}
}

// plain answers with the name of who asks.
func plain(m *Metadata, rate float64) (own, linkLocal *http.Server) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, ok := m.BySecret(sha256.Sum256([]byte(strings.Trim(r.URL.Path, "/"))))
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		io.WriteString(w, in.Name)
	})
	return &http.Server{Handler: h}, &http.Server{Handler: h}
}

func toldSnapshot(generation int64, status resource.EventStatus, secret string) wire.Snapshot {
	hash := sha256.Sum256([]byte(secret))
	return wire.Snapshot{
		Generation: generation, Metadata: &wire.Metadata{Socket: "metadata", Rate: 1},
		Sets: []wire.Set{{
			Name: "web", Instances: []wire.Instance{{Name: "web_0", Secret: hash[:]}},
			Events: &resource.ScheduledEvents{Incarnation: 2, Events: []resource.ScheduledEvent{{EventID: "e1", Instance: "web_0", Status: status}}},
		}},
	}
}

// The endpoint knows what the last snapshot says. An approval is a fact until the
// snapshot shows that it was taken up.
func TestMetadataFollowsTheSnapshot(t *testing.T) {
	s := newTestState(t)
	s.endpoint = newEndpoint(approvalsIn(t, filepath.Join(t.TempDir(), "approvals.json")), plain, s.touch, discard)
	socket, file := socketFile(t, "metadata")
	apply := func(w wire.Snapshot, list ...wire.Socket) {
		t.Helper()
		w.Sockets = []wire.Socket{socket}
		a := wire.Apply{Snapshot: w, New: list}
		var files []*os.File
		if len(list) > 0 {
			files = append(files, file)
		}
		if _, err := s.apply(a, files); err != nil {
			t.Fatal(err)
		}
	}
	apply(toldSnapshot(1, resource.EventScheduled, "old"), socket)
	if got := answerOf(t, socket.Address, "old"); got != "200 web_0" {
		t.Errorf("with its secret: %s", got)
	}
	apply(toldSnapshot(2, resource.EventScheduled, "new"))
	if old, now := answerOf(t, socket.Address, "old"), answerOf(t, socket.Address, "new"); old != "404 " || now != "200 web_0" {
		t.Errorf("with the old secret %s, with the new one %s", old, now)
	}
	before := s.facts().Sequence
	for _, unknown := range [][]string{{"e2"}, {"e1", "e2"}} {
		if err := s.endpoint.Approve(t.Context(), "web", unknown); !errors.Is(err, ErrUnknownEvent) || len(s.facts().Approvals) > 0 {
			t.Errorf("%v: %v, %v", unknown, err, s.facts().Approvals)
		}
	}
	if err := s.endpoint.Approve(t.Context(), "other", []string{"e1"}); !errors.Is(err, ErrUnknownEvent) {
		t.Errorf("another set's event: %v", err)
	}
	if err := s.endpoint.Approve(t.Context(), "web", []string{"e1"}); err != nil {
		t.Fatal(err)
	}
	if f := s.facts(); len(f.Approvals) != 1 || f.Sequence <= before {
		t.Errorf("the facts are %+v", f)
	}
	apply(toldSnapshot(3, resource.EventStarted, "new"))
	if f := s.facts(); len(f.Approvals) != 0 {
		t.Errorf("it is told on: %v", f.Approvals)
	}
	w := toldSnapshot(4, resource.EventStarted, "new")
	w.Metadata.Rate = 2 // other servers on the same socket
	apply(w)
	if got := answerOf(t, socket.Address, "new"); got != "200 web_0" {
		t.Errorf("after the rate was changed: %s", got)
	}
}

func answerOf(t *testing.T, address, secret string) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	resp, err := client.Get("http://" + address + "/" + secret)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Status[:4] + string(text)
}
