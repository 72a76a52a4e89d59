package imds

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
)

// wireDocument and wireEvent are Azure's, in the order in which its pages show them.
type wireDocument struct {
	DocumentIncarnation int
	Events              []wireEvent
}

type wireEvent struct {
	EventID      string `json:"EventId"`
	EventType    EventType
	ResourceType string
	Resources    []string
	EventStatus  EventStatus
	NotBefore    string
	// Not in every version:
	Description       *string      `json:",omitempty"`
	EventSource       *EventSource `json:",omitempty"`
	DurationInSeconds *int         `json:",omitempty"`
}

func (h *Handler) scheduledEvents(r request) reply {
	if r.Method == http.MethodPost {
		return h.approve(r)
	}
	d := h.source.Document(r.from.ScaleSet)
	if r.from.Renewing {
		d.Events = slices.DeleteFunc(slices.Clone(d.Events), func(e Event) bool { return slices.Contains(e.Resources, r.from.Name) })
	}
	return document(wire(d, r.version()))
}

// typesSince are the types that a client of an older version does not know.
var typesSince = map[EventType]string{Preempt: "2017-11-01", Terminate: "2019-01-01"}

func wire(d Document, version string) wireDocument {
	w := wireDocument{DocumentIncarnation: d.incarnation(), Events: []wireEvent{}}
	for _, e := range d.Events {
		if version >= typesSince[e.Type] {
			w.Events = append(w.Events, wireOf(e, version))
		}
	}
	return w
}

func wireOf(e Event, version string) wireEvent {
	w := wireEvent{
		EventID: e.ID, EventType: e.Type, ResourceType: "VirtualMachine",
		Resources:   append([]string{}, e.Resources...), // never null
		EventStatus: e.Status, NotBefore: e.notBefore(),
	}
	if version >= "2019-04-01" {
		w.Description = &e.Description
	}
	if version >= "2019-08-01" {
		w.EventSource = &e.Source
	}
	if version >= "2020-07-01" {
		w.DurationInSeconds = &e.DurationInSeconds
	}
	return w
}

// approve takes a list of events, whatever incarnation of the document they were
// read from. Approving again is as good as the first time; one that has started
// needs no approval and is a valid one all the same.
func (h *Handler) approve(r request) reply {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return badRequest("The request body cannot be read or is too large")
	}
	wanted, err := startRequests(body)
	if err != nil {
		return badRequest("The request body is malformed")
	}
	pending, known := match(h.source.Document(r.from.ScaleSet).Events, wanted)
	if !known {
		return badRequest("Unknown EventId")
	}
	if len(pending) > 0 {
		// A client that hangs up does not undo what it has asked for.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), approveTimeout)
		defer cancel()
		if err := h.source.Approve(ctx, r.from.ScaleSet, pending); errors.Is(err, ErrUnknownEvent) {
			return badRequest("Unknown EventId")
		} else if err != nil {
			h.log.Error("approve scheduled events", "instance", r.from.Name, "events", pending, "err", err)
			return serverError()
		}
		h.log.Info("scheduled events approved", "instance", r.from.Name, "events", pending)
	}
	return reply{status: http.StatusOK}
}

var errMalformed = errors.New("no list of StartRequests")

// startRequests are the ids in the body of an approval. Names are taken in any
// case and what else there is, of any type, is passed over: clients send a
// DocumentIncarnation as a number, as a string, or not at all.
func startRequests(body []byte) ([]string, error) {
	var approval struct {
		StartRequests []struct {
			EventID *string `json:"EventId"`
		}
	}
	if err := json.Unmarshal(bytes.TrimPrefix(body, []byte("\ufeff")), &approval); err != nil {
		return nil, err
	}
	var ids []string
	for _, s := range approval.StartRequests {
		if s.EventID == nil {
			return nil, errMalformed
		}
		ids = append(ids, *s.EventID)
	}
	if len(ids) == 0 {
		return nil, errMalformed
	}
	return ids, nil
}

// match finds the wanted events that have not started, each once, and says
// whether all that are wanted exist. GUIDs are the same in any case.
func match(events []Event, wanted []string) (pending []string, known bool) {
	byID := make(map[string]Event, len(events))
	for _, e := range events {
		byID[strings.ToLower(e.ID)] = e
	}
	for _, id := range wanted {
		e, exists := byID[strings.ToLower(id)]
		if !exists {
			return nil, false
		}
		if e.Status != Started {
			pending = append(pending, e.ID)
		}
	}
	slices.Sort(pending)
	return slices.Compact(pending), true
}
