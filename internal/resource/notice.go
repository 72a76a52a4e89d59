package resource

import (
	"slices"
	"time"
)

// MaxNotice is the longest that a notice can last.
const MaxNotice = 15 * minute

// Notification is whether, and for how long at most, an instance is told of what
// will be done to it before that is done.
type Notification struct {
	Enable           bool     `json:"enable"`
	NotBeforeTimeout Duration `json:"notBeforeTimeout"`
}

// EventType is what a scheduled event announces, in the words of Azure's metadata service.
type EventType string

const (
	EventTerminate EventType = "Terminate" // the instance is deleted
	EventRedeploy  EventType = "Redeploy"  // it is reimaged
)

// EventStatus is how far a scheduled event is.
type EventStatus string

const (
	EventScheduled EventStatus = "Scheduled"
	EventStarted   EventStatus = "Started" // its drain has begun; it can't be approved any more
)

// Notice announces to an instance what will be done to it. What it announces is
// begun when it was approved, or at NotBefore.
type Notice struct {
	EventID   string     `json:"eventId"`
	Type      EventType  `json:"type"`
	Since     time.Time  `json:"since"`
	NotBefore time.Time  `json:"notBefore"`
	Approved  *time.Time `json:"approved,omitempty"`
	Started   *time.Time `json:"started,omitempty"`
}

// Event is the notice as the instances of the set see it.
func (n Notice) Event(instance string) ScheduledEvent {
	e := ScheduledEvent{EventID: n.EventID, Type: n.Type, Instance: instance, Status: EventScheduled, NotBefore: n.NotBefore}
	if n.Started != nil {
		e.Status = EventStarted
	}
	return e
}

// ScheduledEvents are what every instance of a set is told of all of them.
type ScheduledEvents struct {
	// Incarnation grows by one with every change of Events, from the 1 of a set
	// that never had any.
	Incarnation int                  `json:"incarnation"`
	Events      List[ScheduledEvent] `json:"events"`
}

// ScheduledEvent is one instance's notice.
type ScheduledEvent struct {
	EventID   string      `json:"eventId"`
	Type      EventType   `json:"type"`
	Instance  string      `json:"instance"`
	Status    EventStatus `json:"status"`
	NotBefore time.Time   `json:"notBefore"`
}

// FirstIncarnation is that of a set whose instances were never told anything.
const FirstIncarnation = 1

// Next are the set's events after old: the same incarnation when they are the same.
func (old *ScheduledEvents) Next(events []ScheduledEvent) *ScheduledEvents {
	if old == nil {
		if len(events) == 0 {
			return nil
		}
		old = &ScheduledEvents{Incarnation: FirstIncarnation}
	}
	if slices.EqualFunc(old.Events, events, ScheduledEvent.equal) {
		return old
	}
	return &ScheduledEvents{Incarnation: old.Incarnation + 1, Events: events}
}

func (e ScheduledEvent) equal(o ScheduledEvent) bool {
	same := e.NotBefore.Equal(o.NotBefore)
	e.NotBefore = o.NotBefore
	return same && e == o
}
