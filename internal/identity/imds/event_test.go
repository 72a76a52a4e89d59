package imds_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/droverhq/drover/internal/identity/imds"
)

func TestIncarnationFollowsTheContent(t *testing.T) {
	first := imds.Document{}.Next([]imds.Event{terminate()})
	edit := func(change func(*imds.Event)) []imds.Event {
		e := terminate()
		change(&e)
		return []imds.Event{e}
	}
	other := terminate()
	other.ID = otherID
	for _, c := range []struct {
		name string
		from imds.Document
		to   []imds.Event
		want int
	}{
		{"the first one is empty", imds.Document{}, nil, 0},
		{"an event comes", imds.Document{}, []imds.Event{terminate()}, 2},
		{"nothing changes", first, []imds.Event{terminate()}, 2},
		{"it starts", first, []imds.Event{started(terminate())}, 3},
		{"it goes", first, nil, 3},
		{"another comes", first, []imds.Event{other, terminate()}, 3},
		{"another comes in its place", first, []imds.Event{other}, 3},
		{"the same is given twice", first, []imds.Event{terminate(), terminate()}, 2},
		{"a fraction of a second", first, edit(func(e *imds.Event) { e.NotBefore = e.NotBefore.Add(time.Millisecond) }), 2},
		{"a second", first, edit(func(e *imds.Event) { e.NotBefore = e.NotBefore.Add(time.Second) }), 3},
		{"another time zone", first, edit(func(e *imds.Event) { e.NotBefore = e.NotBefore.In(time.FixedZone("", 3600)) }), 2},
		{"a resource", first, edit(func(e *imds.Event) { e.Resources = append(e.Resources, "set_1") }), 3},
		{"the type", first, edit(func(e *imds.Event) { e.Type = imds.Redeploy }), 3},
		{"the description", first, edit(func(e *imds.Event) { e.Description = "" }), 3},
		{"the source", first, edit(func(e *imds.Event) { e.Source = imds.Platform }), 3},
		{"the duration", first, edit(func(e *imds.Event) { e.DurationInSeconds = 0 }), 3},
		{"when a started one would have", imds.Document{Incarnation: 7, Events: []imds.Event{started(terminate())}},
			edit(func(e *imds.Event) { *e = started(*e); e.NotBefore = time.Time{} }), 7},
	} {
		if got := c.from.Next(c.to).Incarnation; got != c.want {
			t.Errorf("%s: incarnation %d, want %d", c.name, got, c.want)
		}
	}
}

// TestIncarnationLaw: over any history, with the document stored and read again at
// each step, as a client sees it a number has one content and goes up by one.
func TestIncarnationLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSource()
		h := imds.New(imds.Options{Source: s, Rate: 1e6})
		type view struct {
			DocumentIncarnation int
			Events              []any
		}
		read := func() (v view) {
			if err := json.Unmarshal(get(h, events).Body.Bytes(), &v); err != nil {
				t.Fatal(err)
			}
			return v
		}
		last := read()
		event := rapid.Custom(func(t *rapid.T) imds.Event {
			e := terminate()
			e.ID = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "id")
			e.Status = rapid.SampledFrom([]imds.EventStatus{imds.Scheduled, imds.Started}).Draw(t, "status")
			e.NotBefore = e.NotBefore.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "halves")) * 500 * time.Millisecond)
			return e
		})
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			stored, err := json.Marshal(s.document)
			if err != nil {
				t.Fatal(err)
			}
			s.document = imds.Document{}
			if err := json.Unmarshal(stored, &s.document); err != nil {
				t.Fatal(err)
			}
			s.put(rapid.SliceOfN(event, 0, 4).Draw(t, "events")...)
			now := read()
			want := last.DocumentIncarnation
			if !reflect.DeepEqual(now.Events, last.Events) {
				want++
			}
			if now.DocumentIncarnation != want {
				t.Fatalf("from %+v to %+v", last, now)
			}
			last = now
		}
	})
}

// TestEventsKeepTheirPlaces: who reads them from a map makes no new incarnation.
func TestEventsKeepTheirPlaces(t *testing.T) {
	a, b, c := terminate(), terminate(), terminate()
	a.ID, b.ID, c.ID = "a", "b", "c"
	d := imds.Document{}.Next([]imds.Event{b, a})
	if again := d.Next([]imds.Event{a, b}); again.Incarnation != d.Incarnation {
		t.Fatalf("another order made incarnation %d of %d", again.Incarnation, d.Incarnation)
	}
	var ids string
	for _, e := range d.Next([]imds.Event{c, a, b}).Events {
		ids += e.ID
	}
	if ids != "bac" {
		t.Fatalf("places: %s", ids)
	}
}
