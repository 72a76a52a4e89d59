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
	if string(r.body) != "one\ntwo\n" || r.Header.Get("Drover-Log-Position") != "life:7" {
		t.Errorf("logs: %q from %q", r.body, r.Header.Get("Drover-Log-Position"))
	}
	if e.want(200, e.do("GET", "/api/v1/instances/hello_1/logs?after=life:3", ownerToken, "")); e.ports.after != "life:3" {
		t.Errorf("asked to go on from %q", e.ports.after)
	}
	e.wantCode(resource.CodeNotFound, e.do("GET", "/api/v1/instances/hello_2/logs", ownerToken, ""))
	e.ports.logs = func(context.Context, int, bool, io.Writer) error {
		return resource.Errorf(resource.CodeUnavailable, "the disk is away")
	}
	e.wantCode(resource.CodeUnavailable, e.do("GET", "/api/v1/instances/hello_1/logs", ownerToken, ""))
	e.ports.logs = func(context.Context, int, bool, io.Writer) error { return nil }
	if r := e.want(200, e.do("GET", "/api/v1/instances/hello_1/logs", ownerToken, "")); len(r.body) != 0 {
		t.Errorf("an empty log: %q", r.body)
	}
	e.ports.logs = func(_ context.Context, _ int, _ bool, w io.Writer) error {
		_, _ = io.WriteString(w, "half a l")
		return errBoom
	}
	resp := e.open("/api/v1/instances/hello_1/logs", ownerToken)
	if b, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("half a log looks whole: %q", b)
	}
}

// follow opens a log that lines are written to by the returned function.
func (e *env) follow(token string) (*bufio.Reader, func(string)) {
	lines := make(chan string)
	e.put(instance("hello", 1))
	e.ports.logs = func(ctx context.Context, tail int, follow bool, w io.Writer) error {
		if !follow || tail != -1 {
			e.t.Errorf("asked for tail %d, follow %v", tail, follow)
		}
		for {
			select {
			case <-ctx.Done():
				return nil
			case line := <-lines:
				if _, err := io.WriteString(w, line); err != nil {
					return err
				}
			}
		}
	}
	resp := e.open("/api/v1/instances/hello_1/logs?follow=true", token)
	return bufio.NewReader(resp.Body), func(line string) { lines <- line }
}

func TestFollowedLogs(t *testing.T) {
	e := newEnv(t)
	log, write := e.follow(ownerToken)
	for i := range 3 {
		write(fmt.Sprintf("line %d\n", i))
		if got, err := log.ReadString('\n'); err != nil || got != fmt.Sprintf("line %d\n", i) {
			t.Fatalf("line %d arrived as %q: %v", i, got, err)
		}
	}
	e.api.Close()
	if _, err := log.ReadString('\n'); err == nil || err == io.EOF {
		t.Errorf("the log's end is %v, as if it were whole", err)
	}
}

func TestFollowedLogEndsWithItsToken(t *testing.T) {
	e := newEnv(t)
	log, write := e.follow(readerToken)
	write("line\n")
	e.auth.revoke(readerToken)
	if text, err := io.ReadAll(log); err == nil {
		t.Errorf("the log ended as if it were whole: %q", text)
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
		w := &lateWriter{out: connWriter{server}, control: http.NewResponseController(connWriter{server}), begun: true}
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
		`drover_gateway_request_duration_seconds_count{set="hello",version="1.0.0"} 0`,
		`drover_balancer_requests_total{balancer="front"} 9`, `drover_balancer_connections{balancer="front"} 5`,
		`drover_balancer_queued{balancer="front"} 2`, `drover_balancer_connections_refused_total{balancer="front"} 4`,
		`drover_balancer_access_log_dropped_total{balancer="front"} 6`,
		`drover_balancer_request_duration_seconds_bucket{balancer="front",le="0.001"} 0`,
		`drover_balancer_request_duration_seconds_bucket{balancer="front",le="0.0025"} 3`,
		`drover_balancer_request_duration_seconds_bucket{balancer="front",le="60"} 3`,
		`drover_balancer_request_duration_seconds_bucket{balancer="front",le="+Inf"} 4`,
		`drover_balancer_request_duration_seconds_count{balancer="front"} 4`,
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

func (traffic) Balancers() []BalancerTraffic {
	latency := map[int]uint64{resource.LatencyBucket(2 * time.Millisecond): 3, resource.LatencyBucket(2 * time.Minute): 1}
	return []BalancerTraffic{{Name: "front", Connections: 5, Queued: 2, Refused: 4, LogDropped: 6, Counters: resource.Counters{Requests: 9, Latency: latency}}}
}

func (traffic) Counters(string) (string, map[string]resource.Counters, bool) {
	return "g1", map[string]resource.Counters{"1.0.0": {Requests: 42}, "0.9.0": {Requests: 7}}, true
}
