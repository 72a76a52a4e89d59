package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

func TestLogs(t *testing.T) {
	e := newEnv(t)
	e.put(instance("hello", 1))
	r := e.want(200, e.do("GET", "/api/v1/instances/hello_1/logs?tail=2", ownerToken, ""))
	if string(r.body) != "one\ntwo\n" {
		t.Errorf("logs: %q", r.body)
	}
	e.wantCode(resource.CodeNotFound, e.do("GET", "/api/v1/instances/hello_2/logs", ownerToken, ""))
	e.ports.logs = func(context.Context, LogOptions) (io.ReadCloser, error) {
		return nil, resource.Errorf(resource.CodeNotFound, "hello_1 has not written a log yet")
	}
	e.wantCode(resource.CodeNotFound, e.do("GET", "/api/v1/instances/hello_1/logs", ownerToken, ""))
}

func TestFollowedLogs(t *testing.T) {
	e := newEnv(t)
	e.put(instance("hello", 1))
	in, out := io.Pipe()
	e.ports.logs = func(ctx context.Context, o LogOptions) (io.ReadCloser, error) {
		if !o.Follow || o.Tail != -1 {
			t.Errorf("options %+v", o)
		}
		context.AfterFunc(ctx, func() { out.CloseWithError(ctx.Err()) })
		return in, nil
	}
	resp := e.open("/api/v1/instances/hello_1/logs?follow=true", ownerToken)
	lines := bufio.NewReader(resp.Body)
	for i := range 3 {
		fmt.Fprintf(out, "line %d\n", i)
		if got, err := lines.ReadString('\n'); err != nil || got != fmt.Sprintf("line %d\n", i) {
			t.Fatalf("line %d arrived as %q: %v", i, got, err)
		}
	}
	e.api.Close()
	if _, err := lines.ReadString('\n'); err == nil {
		t.Error("the log outlives the server")
	}
}

func TestBackup(t *testing.T) {
	e := newEnv(t)
	r := e.want(200, e.do("GET", "/api/v1/backup", ownerToken, ""))
	if string(r.body) != "tar" || r.Header.Get("Content-Type") != "application/x-tar" {
		t.Errorf("backup: %q as %q", r.body, r.Header.Get("Content-Type"))
	}
	e.ports.tar = func(io.Writer) error { return resource.Errorf(resource.CodeInsufficientStorage, "no space") }
	e.wantCode(resource.CodeInsufficientStorage, e.do("GET", "/api/v1/backup", ownerToken, ""))
	e.ports.tar = func(w io.Writer) error {
		_, _ = io.WriteString(w, "half")
		return errors.New("the disk died")
	}
	resp := e.open("/api/v1/backup", ownerToken)
	if b, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("half a backup looks whole: %q", b)
	}
}

func TestDown(t *testing.T) {
	e := newEnv(t)
	e.ports.fail = resource.Errorf(resource.CodeUnavailable, "hello_1 does not stop")
	e.wantCode(resource.CodeUnavailable, e.do("POST", "/api/v1/down", ownerToken, ""))
	e.ports.fail = nil
	r := e.want(200, e.do("POST", "/api/v1/down", ownerToken, ""))
	if strings.TrimSpace(string(r.body)) != `{"stopped":true}` {
		t.Errorf("down: %s", r.body)
	}
}

// TestStuckClientIsCutOff: a follower that does not read holds nothing for long.
func TestStuckClientIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer client.Close()
		defer server.Close()
		w := &flushWriter{w: connWriter{server}, control: http.NewResponseController(connWriter{server})}
		began := time.Now()
		if _, err := w.Write([]byte("x")); err == nil {
			t.Error("a write that nobody reads succeeded")
		}
		if took := time.Since(began); took != eventTimeout {
			t.Errorf("it took %s", took)
		}
	})
}

// connWriter is a ResponseWriter on a bare connection.
type connWriter struct{ net.Conn }

func (connWriter) Header() http.Header { return http.Header{} }
func (connWriter) WriteHeader(int)     {}
func (connWriter) Flush()              {}

func TestMetrics(t *testing.T) {
	e := newEnv(t, func(o *Options) { o.Traffic = traffic{} })
	e.put(instance("hello", 1), instance("hello", 2), doc(resource.KindScaleSet, "hello", `{"image":"hello:1.0.0"}`, `{}`))
	e.do("GET", "/api/v1/instances/hello_1", ownerToken, "")
	e.do("GET", "/api/v1/instances/hello_2", ownerToken, "")
	e.do("GET", "/nowhere/"+strings.Repeat("x", 50), ownerToken, "")
	e.do("BREW", "/coffee", "", "")
	body := string(e.want(200, e.do("GET", "/metrics", readerToken, "")).body)
	for _, want := range []string{
		`drover_info{version="1.2.3"} 1`, `drover_documents{kind="Instance"} 2`, `drover_store_revision 3`,
		`drover_instances{admission="InService",health="Healthy",set="hello"} 2`,
		`drover_gateway_requests_total{set="hello",version="1.0.0"} 42`,
		`drover_api_requests_total{code="200",method="GET",route="GET /api/v1/instances/{name}"} 2`,
		`drover_api_requests_total{code="404",method="GET",route="other"} 1`,
		`drover_api_requests_total{code="401",method="other",route="other"} 1`,
		`drover_api_refused_total 1`, `go_goroutines`, `drover_api_request_duration_seconds_bucket`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, no := range []string{"xxxx", `version="0.9.0"`, "secret"} {
		if strings.Contains(body, no) {
			t.Errorf("the metrics have %s", no)
		}
	}
}

type traffic struct{}

func (traffic) Counters(string) (string, map[string]resource.Counters, bool) {
	return "g1", map[string]resource.Counters{"1.0.0": {Requests: 42}, "0.9.0": {Requests: 7}}, true
}
