package imds_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/droverhq/drover/internal/identity/imds"
	"github.com/droverhq/drover/internal/testtool"
)

func request(t testing.TB, path string, params map[string]string) *http.Request {
	t.Helper()
	values := url.Values{}
	for name, value := range params {
		values.Set(name, value)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.URL = &url.URL{Path: path, RawQuery: values.Encode()}
	r.Header.Set("Metadata", "true")
	return r
}

func answer(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// serve is the endpoint as an instance reaches it: IMDS_ENDPOINT of set_0.
func serve(t *testing.T, s imds.Source) string {
	t.Helper()
	h := imds.New(imds.Options{Source: s, Rate: 1e6})
	server := httptest.NewUnstartedServer(nil)
	server.Config = imds.NewServer(h, nil)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL + "/" + secret0
}

// azureClient is written after the samples on Azure's pages: it polls, handles a
// document whose incarnation is new, and approves what concerns its own machine.
type azureClient struct {
	endpoint string
	seen     int
	handled  []string
}

func (c *azureClient) call(ctx context.Context, method, path, body string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.endpoint+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Metadata", "True")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, text)
	}
	return text, err
}

func (c *azureClient) poll(ctx context.Context) error {
	name, err := c.call(ctx, "GET", "/metadata/instance/compute/name?api-version=2021-02-01&format=text", "")
	if err != nil {
		return err
	}
	text, err := c.call(ctx, "GET", events, "")
	if err != nil {
		return err
	}
	var doc struct {
		DocumentIncarnation int
		Events              []struct {
			EventId, EventType, EventStatus, NotBefore, EventSource string
			Resources                                               []string
			DurationInSeconds                                       int
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil || doc.DocumentIncarnation == c.seen {
		return err
	}
	for _, e := range doc.Events {
		if e.EventStatus != "Scheduled" || e.Resources[0] != string(name) {
			continue
		}
		if _, err := time.Parse(time.RFC1123, e.NotBefore); err != nil {
			return err
		}
		body := fmt.Sprintf(`{"DocumentIncarnation":"%d","StartRequests":[{"EventId":"%s"}]}`, doc.DocumentIncarnation, e.EventId)
		if _, err := c.call(ctx, "POST", events, body); err != nil {
			return err
		}
		c.handled = append(c.handled, e.EventType)
	}
	c.seen = doc.DocumentIncarnation
	return nil
}

func TestAzureClient(t *testing.T) {
	s := newSource()
	c := &azureClient{endpoint: serve(t, s)}
	for range 3 {
		if err := c.poll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	siblings := terminate()
	siblings.ID, siblings.Resources = otherID, []string{"set_1"}
	s.put(terminate(), siblings)
	for range 3 {
		if err := c.poll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.put(started(terminate()), siblings)
	if err := c.poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.handled, s.approvals()); got != "[Terminate] ["+eventID+"]" {
		t.Fatalf("handled and approved: %s", got)
	}
}

// TestPythonSample runs the loop of Azure's sample for Linux, with the address
// changed and nothing else but the standard library.
func TestPythonSample(t *testing.T) {
	python := testtool.Require(t, "python3")
	s := newSource()
	s.put(terminate())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sample := exec.CommandContext(ctx, python, "-c", `
import json, sys, urllib.request
url = sys.argv[1] + "/metadata/scheduledevents?api-version=2020-07-01"
def call(data=None):
    request = urllib.request.Request(url, data=data)
    request.add_header("Metadata", "true")
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.status, response.read()
status, text = call()
document = json.loads(text)
assert isinstance(document["DocumentIncarnation"], int)
for event in document["Events"]:
    assert int(event["DurationInSeconds"]) == -1
    if event["EventStatus"] == "Scheduled" and event["EventSource"] == "User":
        print(call(json.dumps({"StartRequests": [{"EventId": event["EventId"]}]}).encode("utf-8")))
`, serve(t, s))
	sample.Env = []string{"no_proxy=*"}
	out, err := sample.CombinedOutput()
	if err != nil || string(out) != "(200, b'')\n" {
		t.Fatalf("%v: %s", err, out)
	}
	if got := s.approvals(); len(got) != 1 || got[0] != eventID {
		t.Fatalf("approved: %v", got)
	}
}

// TestApprovalEnds: a disk that does not answer keeps a client waiting for a while,
// not for ever.
func TestApprovalEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		s.put(terminate())
		began := time.Now()
		w := post(imds.New(imds.Options{Source: patient{s}}), `{"StartRequests":[{"EventId":"`+eventID+`"}]}`)
		requireAnswer(t, w, 500, `{"error":"Server error"}`)
		if took := time.Since(began); took != 10*time.Second {
			t.Fatalf("it took %s", took)
		}
	})
}

// TestHangingUpUndoesNothing: what a client has asked for is done, whether it waits
// for the answer or not.
func TestHangingUpUndoesNothing(t *testing.T) {
	s := newSource()
	s.put(terminate())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequest("POST", "/"+secret0+events, strings.NewReader(`{"StartRequests":[{"EventId":"`+eventID+`"}]}`)).WithContext(ctx)
	r.Header.Set("Metadata", "true")
	requireAnswer(t, answer(imds.New(imds.Options{Source: strict{s}}), r), 200, "")
}

// strict is a source that does nothing for a context that has ended.
type strict struct{ *source }

func (s strict) Approve(ctx context.Context, set string, ids []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.source.Approve(ctx, set, ids)
}
