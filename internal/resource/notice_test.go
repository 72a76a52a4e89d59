package resource

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestNotifications(t *testing.T) {
	for _, field := range []string{"terminateNotification", "reimageNotification"} {
		t.Run(field, func(t *testing.T) { testNotification(t, field) })
	}
}

func testNotification(t *testing.T, field string) {
	for text, want := range map[string]string{
		`{"enable":true}`: "true 5m",
		`{}`:              "false 5m",
		`{"enable":true,"notBeforeTimeout":"PT0S"}`:    "true 0s",
		`{"enable":true,"notBeforeTimeout":"PT15M"}`:   "true 15m",
		`{"enable":true,"notBeforeTimeout":"PT15M1S"}`: "/spec/" + field + "/notBeforeTimeout",
		`{"enable":true,"notBefore":"5m"}`:             "/spec/" + field + "/notBefore",
	} {
		d, err := Decode(KindScaleSet, []byte(`{"kind":"ScaleSet","name":"web","spec":{"image":"web:1.0.0","`+field+`":`+text+`}}`))
		if err == nil {
			err = Validate(d)
		}
		if err != nil {
			if !strings.HasPrefix(want, "/") || !strings.Contains(fmt.Sprintf("%+v", err), want) {
				t.Errorf("%s: %v", text, fmt.Sprintf("%+v", err))
			}
			continue
		}
		set, err := From[ScaleSetSpec, ScaleSetStatus](d)
		if err != nil {
			t.Fatal(err)
		}
		n := map[string]*Notification{"terminateNotification": set.Spec.TerminateNotification, "reimageNotification": set.Spec.ReimageNotification}[field]
		got := n.NotBeforeTimeout.String()
		if n.Enable {
			got = "true " + got
		} else {
			got = "false " + got
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// The incarnation grows by one with each change of what is told, and with nothing else.
func TestIncarnation(t *testing.T) {
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	event := func(status EventStatus, at time.Time) ScheduledEvent {
		return ScheduledEvent{EventID: "e", Type: EventTerminate, Instance: "web_1", Status: status, NotBefore: at}
	}
	var told *ScheduledEvents
	for i, step := range []struct {
		events []ScheduledEvent
		want   int
	}{
		{nil, 0},
		{[]ScheduledEvent{event(EventScheduled, at)}, 2},
		{[]ScheduledEvent{event(EventScheduled, at.In(time.FixedZone("", 3600)))}, 2},
		{[]ScheduledEvent{event(EventStarted, at)}, 3},
		{nil, 4},
		{[]ScheduledEvent{}, 4},
		{[]ScheduledEvent{event(EventScheduled, at)}, 5},
	} {
		told = told.Next(step.events)
		got := 0
		if told != nil {
			got = told.Incarnation
			text, err := json.Marshal(told) // as it is stored between two
			if err != nil {
				t.Fatal(err)
			}
			told = nil
			if err := json.Unmarshal(text, &told); err != nil {
				t.Fatal(err)
			}
		}
		if got != step.want {
			t.Errorf("step %d: incarnation %d, want %d", i, got, step.want)
		}
	}
}

func TestGUID(t *testing.T) {
	in := Instance{Meta: Meta{Name: "web_1", Created: time.Unix(1, 0)}}
	again, later := in, in
	later.Created = time.Unix(2, 0)
	id := InstanceID(in)
	if len(id) != 36 || id[14] != '8' || strings.Count(id, "-") != 4 || id != InstanceID(again) || id == InstanceID(later) || id == GUID("Terminate", in) {
		t.Errorf("%q", id)
	}
}
