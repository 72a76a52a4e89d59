package imds

import (
	"net/http"
	"slices"
	"time"
)

// EventType is what will become of the resources of an event.
type EventType string

const (
	Freeze    EventType = "Freeze"
	Reboot    EventType = "Reboot"
	Redeploy  EventType = "Redeploy"
	Preempt   EventType = "Preempt"
	Terminate EventType = "Terminate"
)

// EventStatus is how far an event is. There is none for the end: the event is
// then no longer listed.
type EventStatus string

const (
	Scheduled EventStatus = "Scheduled"
	Started   EventStatus = "Started"
)

// EventSource says who wanted the event.
type EventSource string

const (
	User     EventSource = "User"
	Platform EventSource = "Platform"
)

// UnknownDuration is the DurationInSeconds of what nobody can tell or what has no
// end. 0 says that the event has no impact.
const UnknownDuration = -1

// Event is one scheduled event.
type Event struct {
	ID                string      `json:"id"` // a GUID
	Type              EventType   `json:"type"`
	Resources         []string    `json:"resources"` // names of instances
	Status            EventStatus `json:"status"`
	NotBefore         time.Time   `json:"notBefore"`
	Description       string      `json:"description"`
	Source            EventSource `json:"source"`
	DurationInSeconds int         `json:"durationInSeconds"`
}

// notBefore is the time as clients see it. The fraction of a second is cut off,
// so that no event starts before the time that was told.
func (e Event) notBefore() string {
	if e.Status == Started {
		return ""
	}
	return e.NotBefore.UTC().Format(http.TimeFormat)
}

// sameTo says whether a client could not tell the two apart.
func (e Event) sameTo(o Event) bool {
	return e.ID == o.ID && e.Type == o.Type && e.Status == o.Status && e.notBefore() == o.notBefore() &&
		e.Description == o.Description && e.Source == o.Source && e.DurationInSeconds == o.DurationInSeconds &&
		slices.Equal(e.Resources, o.Resources)
}

// Document is what the instances of one scale set see. The zero value is the first
// one, incarnation 1 without events. It is stored as JSON by who keeps it.
type Document struct {
	Incarnation int     `json:"incarnation"`
	Events      []Event `json:"events"`
}

// Next is the document that follows when these are the events. Its incarnation is
// one more if a client could see a difference, else the same. Events keep their
// places, in whatever order they are given, and new ones come last; of two with
// one id the first counts.
//
// It has to be stored before any client sees it: one incarnation never stands for
// two contents.
func (d Document) Next(events []Event) Document {
	next := ordered(d.Events, events)
	if slices.EqualFunc(d.Events, next, Event.sameTo) {
		return d
	}
	return Document{Incarnation: d.incarnation() + 1, Events: next}
}

func (d Document) incarnation() int { return max(1, d.Incarnation) }

// ordered puts the events in the places that they had in old.
func ordered(old, events []Event) []Event {
	place := make(map[string]int, len(old))
	for i, e := range old {
		place[e.ID] = i
	}
	seen := make(map[string]bool, len(events))
	next := make([]Event, 0, len(events))
	for _, e := range events {
		if !seen[e.ID] {
			seen[e.ID] = true
			next = append(next, e)
		}
	}
	rank := func(e Event) int {
		if i, known := place[e.ID]; known {
			return i
		}
		return len(old)
	}
	slices.SortStableFunc(next, func(a, b Event) int { return rank(a) - rank(b) })
	return next
}
