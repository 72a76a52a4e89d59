package imds_test

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/identity/imds"
)

const (
	secret0 = "k3f5c2aqxk7m4d6zq5o3l2vw7y"
	secret1 = "p6q2t7v3e5h4a2c6i3n5u7x4zd"
	eventID = "C7061BAC-AFDC-4513-B24B-AA5F13A16123"
	otherID = "f020ba2e-3bc0-4c40-a10b-86575a9eabd5"
)

// source plays the gateway: a set with two instances, and its events.
type source struct {
	instances map[string]imds.Instance // by secret

	mu       sync.Mutex
	document imds.Document
	approved []string
	fail     error
}

func newSource() *source {
	return &source{instances: map[string]imds.Instance{secret0: sample(0), secret1: sample(1)}}
}

func sample(n int) imds.Instance {
	return imds.Instance{
		Name: []string{"set_0", "set_1"}[n], ScaleSet: "set",
		ID:    []string{"02aab8a4-74ef-476e-8182-f6d2ba4166a6", "5c08b38e-4d57-4c23-ac45-aca61037f084"}[n],
		Image: "hello", Version: "2.0.0", Location: "local", Zone: "1", FaultDomain: 3,
		Tags:    map[string]string{"foo": "bar", "baz": "<b>&"},
		Address: netip.MustParseAddr("127.0.0.1"),
	}
}

func (s *source) BySecret(hash [sha256.Size]byte) (imds.Instance, bool) {
	for secret, in := range s.instances {
		if sha256.Sum256([]byte(secret)) == hash {
			return in, true
		}
	}
	return imds.Instance{}, false
}

func (s *source) ByName(name string) (imds.Instance, bool) {
	for _, in := range s.instances {
		if in.Name == name {
			return in, true
		}
	}
	return imds.Instance{}, false
}

func (s *source) Document(set string) imds.Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	if set != "set" {
		return imds.Document{}
	}
	return s.document
}

func (s *source) Approve(_ context.Context, set string, events []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	s.approved = append(s.approved, events...)
	return nil
}

func (s *source) put(events ...imds.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.document = s.document.Next(events)
}

func (s *source) approvals() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.approved)
}

// terminate is the event of the contract's sample, with the day that its date has.
func terminate() imds.Event {
	return imds.Event{
		ID: eventID, Type: imds.Terminate, Resources: []string{"set_0"}, Status: imds.Scheduled,
		NotBefore:   time.Date(2026, 4, 11, 22, 26, 58, 999, time.UTC),
		Description: "text", Source: imds.User, DurationInSeconds: imds.UnknownDuration,
	}
}

func started(e imds.Event) imds.Event {
	e.Status = imds.Started
	return e
}

// ask sends one request; headers are "Name: value".
func ask(h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ":")
		r.Header.Add(name, strings.TrimSpace(value))
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	return ask(h, "GET", "/"+secret0+path, "", "Metadata: true")
}

func post(h http.Handler, body string) *httptest.ResponseRecorder {
	return ask(h, "POST", "/"+secret0+events, body, "Metadata: true", "Content-Type: application/x-www-form-urlencoded")
}

const (
	events   = "/metadata/scheduledevents?api-version=2020-07-01"
	instance = "/metadata/instance?api-version=2021-05-01"
)

func requireAnswer(t *testing.T, w *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if w.Code != status || w.Body.String() != body {
		t.Fatalf("answer: %d %s\n  want: %d %s", w.Code, w.Body, status, body)
	}
}
