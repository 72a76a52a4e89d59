package imds_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/droverhq/drover/internal/identity/imds"
)

func TestScheduledEventsDocument(t *testing.T) {
	s := newSource()
	h := imds.New(imds.Options{Source: s})
	requireAnswer(t, get(h, events), 200, `{"DocumentIncarnation":1,"Events":[]}`)
	s.put(terminate())
	scheduled := `{"DocumentIncarnation":2,"Events":[{"EventId":"` + eventID + `","EventType":"Terminate","ResourceType":"VirtualMachine",` +
		`"Resources":["set_0"],"EventStatus":"Scheduled","NotBefore":"Sat, 11 Apr 2026 22:26:58 GMT","Description":"text","EventSource":"User","DurationInSeconds":-1}]}`
	requireAnswer(t, get(h, events), 200, scheduled)
	requireAnswer(t, ask(h, "GET", "/"+secret1+events, "", "Metadata: true"), 200, scheduled) // its sibling sees it, too
	s.put(started(terminate()))
	requireAnswer(t, get(h, events), 200, strings.NewReplacer(`n":2`, `n":3`, "Scheduled", "Started", "Sat, 11 Apr 2026 22:26:58 GMT", "").Replace(scheduled))
	s.put()
	requireAnswer(t, get(h, events), 200, `{"DocumentIncarnation":4,"Events":[]}`)
}

// The process that comes after a reimage is not told of it, what others see is the
// same, and a late approval of the one before is as good as any.
func TestNothingIsToldOfWhatIsBeingDone(t *testing.T) {
	s := newSource()
	h := imds.New(imds.Options{Source: s})
	mine, other := started(terminate()), terminate()
	mine.Type, other.ID, other.Resources = imds.Redeploy, "other", []string{"set_1"}
	s.put(mine, other)
	before := get(h, events).Body.String()
	in := s.instances[secret0]
	in.Renewing = true
	s.instances[secret0] = in
	own, sibling := get(h, events).Body.String(), ask(h, "GET", "/"+secret1+events, "", "Metadata: true").Body.String()
	if sibling != before || strings.Contains(own, eventID) || !strings.Contains(own, `"other"`) || !strings.Contains(own, `"DocumentIncarnation":2`) {
		t.Errorf("before it was told %s, now %s, and the other one %s", before, own, sibling)
	}
	requireAnswer(t, ask(h, "POST", "/"+secret0+events, `{"StartRequests":[{"EventId":"`+eventID+`"}]}`, "Metadata: true"), 200, "")
}

func TestScheduledEventsOfEveryVersion(t *testing.T) {
	s := newSource()
	var all []imds.Event
	for i, kind := range []imds.EventType{imds.Freeze, imds.Reboot, imds.Redeploy, imds.Preempt, imds.Terminate} {
		e := terminate()
		e.ID, e.Type, e.DurationInSeconds = fmt.Sprint(i), kind, 0 // no impact is a duration like any
		all = append(all, e)
	}
	s.put(all...)
	h := imds.New(imds.Options{Source: s})
	old := []string{"EventId", "EventStatus", "EventType", "NotBefore", "ResourceType", "Resources"}
	for _, c := range []struct {
		version string
		types   int
		fields  []string
	}{
		{"2017-08-01", 3, old},
		{"2017-11-01", 4, old},
		{"2019-01-01", 5, old},
		{"2019-04-01", 5, append([]string{"Description"}, old...)},
		{"2019-08-01", 5, append([]string{"Description", "EventSource"}, old...)},
		{"2020-07-01", 5, append([]string{"Description", "EventSource", "DurationInSeconds"}, old...)},
	} {
		var got struct {
			DocumentIncarnation int
			Events              []map[string]any
		}
		w := get(h, "/metadata/scheduledevents?api-version="+c.version)
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || got.DocumentIncarnation != 2 {
			t.Fatalf("%s: %d %v %s", c.version, w.Code, err, w.Body)
		}
		if len(got.Events) != c.types {
			t.Errorf("%s: %d events, want %d", c.version, len(got.Events), c.types)
		}
		slices.Sort(c.fields)
		for _, e := range got.Events {
			if names := sortedNames(e); !slices.Equal(names, c.fields) {
				t.Errorf("%s: fields %v, want %v", c.version, names, c.fields)
			}
		}
	}
}

func TestApprovals(t *testing.T) {
	const malformed, unknown = `{"error":"Bad request. The request body is malformed"}`, `{"error":"Bad request. Unknown EventId"}`
	start := func(ids ...string) string {
		return `{"StartRequests":[{"EventId":"` + strings.Join(ids, `"},{"EventId":"`) + `"}]}`
	}
	for _, c := range []struct {
		name, body string
		status     int
		answer     string
		approved   []string
	}{
		{"one", start(eventID), 200, "", []string{eventID}},
		{"several", start(eventID, otherID), 200, "", []string{eventID, otherID}},
		{"one twice", start(eventID, eventID), 200, "", []string{eventID}},
		{"a GUID in other letters", start(strings.ToLower(eventID)), 200, "", []string{eventID}},
		{"spaces, as on Azure's page", "{\n\t\"StartRequests\" : [\n\t\t{\n\t\t\t\"EventId\": \"" + eventID + "\"\n\t\t}\n\t]\n}\n", 200, "", []string{eventID}},
		{"an old incarnation", `{"DocumentIncarnation":1,` + start(eventID)[1:], 200, "", []string{eventID}},
		{"an incarnation as a text", `{"DocumentIncarnation":"5",` + start(eventID)[1:], 200, "", []string{eventID}},
		{"more fields", `{"a":{"b":[1]},"StartRequests":[{"EventId":"` + eventID + `","EventType":"Terminate","c":null}]}`, 200, "", []string{eventID}},
		{"names in other letters", `{"startRequests":[{"eventId":"` + eventID + `"}]}`, 200, "", []string{eventID}},
		{"a byte order mark", "\ufeff" + start(eventID), 200, "", []string{eventID}},
		{"one that has started", start("started"), 200, "", nil},
		{"one that has started with another", start("started", eventID), 200, "", []string{eventID}},
		{"unknown", start("602d9444-d2cd-49c7-8624-8643e7171297"), 400, unknown, nil},
		{"unknown with a known one", start(eventID, "602d9444-d2cd-49c7-8624-8643e7171297"), 400, unknown, nil},
		{"an empty id", start(""), 400, unknown, nil},
		{"no body", "", 400, malformed, nil},
		{"no JSON", "EventId=" + eventID, 400, malformed, nil},
		{"half a JSON", start(eventID)[:40], 400, malformed, nil},
		{"two JSONs", start(eventID) + start(eventID), 400, malformed, nil},
		{"a list", "[" + start(eventID) + "]", 400, malformed, nil},
		{"null", "null", 400, malformed, nil},
		{"an empty object", "{}", 400, malformed, nil},
		{"an empty list", `{"StartRequests":[]}`, 400, malformed, nil},
		{"a list of texts", `{"StartRequests":["` + eventID + `"]}`, 400, malformed, nil},
		{"an object for the list", `{"StartRequests":{"EventId":"` + eventID + `"}}`, 400, malformed, nil},
		{"no id", `{"StartRequests":[{}]}`, 400, malformed, nil},
		{"null for an id", `{"StartRequests":[{"EventId":null}]}`, 400, malformed, nil},
		{"a number for an id", `{"StartRequests":[{"EventId":1}]}`, 400, malformed, nil},
		{"64 KiB", start(eventID) + strings.Repeat(" ", 64<<10-len(start(eventID))), 200, "", []string{eventID}},
		{"a byte more", start(eventID) + strings.Repeat(" ", 64<<10-len(start(eventID))+1), 400, `{"error":"Bad request. The request body cannot be read or is too large"}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSource()
			other, gone := terminate(), started(terminate())
			other.ID, gone.ID = otherID, "started"
			s.put(terminate(), other, gone)
			h := imds.New(imds.Options{Source: s})
			for range 2 { // approved already is as good
				requireAnswer(t, post(h, c.body), c.status, c.answer)
			}
			if got := s.approvals(); !slices.Equal(got, append(slices.Clone(c.approved), c.approved...)) {
				t.Errorf("approved: %v, want %v, twice", got, c.approved)
			}
		})
	}
}

// TestApprovalFails: no 200 without the approval on disk.
func TestApprovalFails(t *testing.T) {
	s := newSource()
	s.put(terminate())
	h := imds.New(imds.Options{Source: s})
	body := `{"StartRequests":[{"EventId":"` + eventID + `"}]}`
	s.fail = errors.New("no space left on device")
	requireAnswer(t, post(h, body), 500, `{"error":"Server error"}`)
	s.fail = fmt.Errorf("approve %s: %w", eventID, imds.ErrUnknownEvent) // it went between the look and the approval
	requireAnswer(t, post(h, body), 400, `{"error":"Bad request. Unknown EventId"}`)
}

// patient is a source whose approval takes as long as it is let.
type patient struct{ *source }

func (patient) Approve(ctx context.Context, _ string, _ []string) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestConcurrentApprovals reads, approves and changes at once, for the race detector
// and for the law that one incarnation has one content.
func TestConcurrentApprovals(t *testing.T) {
	s := newSource()
	s.put(terminate())
	h := imds.New(imds.Options{Source: s, Rate: 1e6})
	var seen sync.Map
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				body := get(h, events).Body.String()
				incarnation, content, _ := strings.Cut(body, ",")
				if before, loaded := seen.LoadOrStore(incarnation, content); loaded && before != content {
					t.Errorf("%s has two contents:\n%s\n%s", incarnation, before, content)
				}
			}
		})
		all.Go(func() {
			for range 100 {
				if w := post(h, `{"StartRequests":[{"EventId":"`+eventID+`"}]}`); w.Code != 200 {
					t.Errorf("approval: %d %s", w.Code, w.Body)
				}
			}
		})
	}
	all.Go(func() {
		for i := range 100 {
			e := terminate()
			e.Description = fmt.Sprint(i / 2)
			s.put(e)
		}
	})
	all.Wait()
	if got := len(s.approvals()); got != 400 {
		t.Errorf("%d approvals were made durable, want 400", got)
	}
}

func FuzzApproval(f *testing.F) {
	f.Add([]byte(`{"StartRequests":[{"EventId":"` + eventID + `"}]}`))
	f.Add([]byte(`{"DocumentIncarnation":"5","StartRequests":[{"EventId":"` + otherID + `"},{}]}`))
	f.Add([]byte(`{"StartRequests":[null]}`))
	f.Add([]byte("\ufeff{}"))
	f.Add([]byte(`[[[[`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s := newSource()
		s.put(terminate())
		w := post(imds.New(imds.Options{Source: s}), string(body))
		approved := s.approvals()
		switch {
		case w.Code == 200 && w.Body.Len() == 0 && slices.Equal(approved, []string{eventID}):
			if !json.Valid([]byte(strings.TrimPrefix(string(body), "\ufeff"))) {
				t.Fatalf("approved by what is no JSON: %q", body)
			}
		case w.Code == 400 && json.Valid(w.Body.Bytes()) && approved == nil:
		default:
			t.Fatalf("%q: %d %s, approved %v", body, w.Code, w.Body, approved)
		}
	})
}
