package proxy

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// What clients see by TLS is what they see without, as rigs below this test speak it.
func TestOverTLS(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"AnInstanceThatIsTakenAwayAtOnce":                  TestAnInstanceThatIsTakenAwayAtOnce,
		"WebSocket":                                        TestWebSocket,
		"AWebSocketHasTheWholeDrainAndThenSaysGoodbye":     TestAWebSocketHasTheWholeDrainAndThenSaysGoodbye,
		"ADrainNeverPutsACloseIntoAFrame":                  TestADrainNeverPutsACloseIntoAFrame,
		"OtherUpgrades":                                    TestOtherUpgrades,
		"WhatIsInFlightWhenADrainEnds":                     TestWhatIsInFlightWhenADrainEnds,
		"AClientKeepsItsConnectionThroughADrain":           TestAClientKeepsItsConnectionThroughADrain,
		"AFrontEndsInOrder":                                TestAFrontEndsInOrder,
		"ARequestFollowsAReplacedBackend":                  TestARequestFollowsAReplacedBackend,
		"WhatConnectionNamesIsNotPassedOn":                 TestWhatConnectionNamesIsNotPassedOn,
		"AmbiguousRequestsAreNotPassedOn":                  TestAmbiguousRequestsAreNotPassedOn,
		"WhatABackendSeesOfARequest":                       TestWhatABackendSeesOfARequest,
		"WhatAClientSeesOfAnAnswer":                        TestWhatAClientSeesOfAnAnswer,
		"TrailersPassBothWays":                             TestTrailersPassBothWays,
		"TrailersHoldNothingThatOnlyAHeadMayHold":          TestTrailersHoldNothingThatOnlyAHeadMayHold,
		"InterimAnswersPass":                               TestInterimAnswersPass,
		"ExpectContinueIsBetweenClientAndBackend":          TestExpectContinueIsBetweenClientAndBackend,
		"ConnectIsRefusedAndNoRouteIs404":                  TestConnectIsRefusedAndNoRouteIs404,
		"AnAnswerIsPassedOnAsItComes":                      TestAnAnswerIsPassedOnAsItComes,
		"AnUploadIsPassedOnAsItComes":                      TestAnUploadIsPassedOnAsItComes,
		"BothDirectionsAtOnce":                             TestBothDirectionsAtOnce,
		"AnEarlyAnswerToAnUpload":                          TestAnEarlyAnswerToAnUpload,
		"LimitsChangeInPlace":                              TestLimitsChangeInPlace,
		"AClientThatReadsNothingLosesItsConnection":        TestAClientThatReadsNothingLosesItsConnection,
		"WhenNobodyIsInService":                            TestWhenNobodyIsInService,
		"AClientThatLeavesFreesTheInstance":                TestAClientThatLeavesFreesTheInstance,
		"BackendsThatBreakTheRules":                        TestBackendsThatBreakTheRules,
		"PipelinedRequestsAreAnsweredInOrder":              TestPipelinedRequestsAreAnsweredInOrder,
		"HTTP10":                                           TestHTTP10,
		"AnAnswerThatEndsWithItsConnection":                TestAnAnswerThatEndsWithItsConnection,
		"LargeBodiesPassUnchanged":                         TestLargeBodiesPassUnchanged,
		"IdleConnectionsEnd":                               TestIdleConnectionsEnd,
		"WhatIsSentAgainAndWhatIsNot":                      TestWhatIsSentAgainAndWhatIsNot,
		"ARefusedConnectionGoesElsewhereWhateverTheMethod": TestARefusedConnectionGoesElsewhereWhateverTheMethod,
		"PooledConnectionsThatTheBackendClosed":            TestPooledConnectionsThatTheBackendClosed,
	} {
		t.Run(name, test)
	}
}

// secureRig is a rig that speaks TLS.
func secureRig(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	g := newRig(t, change...)
	g.secure()
	g.front.Configure(g.config)
	return g
}

const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

func (g *rig) wantAnswer(r *bufio.Reader, want string) {
	g.t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != want {
		g.t.Fatalf("got %d bytes, %v; want %d", len(body), err, len(want))
	}
}

// Who does not finish the handshake costs little, harms nobody, and is sent away
// when the time for heads is over.
func TestSlowHandshakes(t *testing.T) {
	hello := clientHello(t)
	for name, c := range map[string]struct{ first, next []byte }{
		"that never begin":     {},
		"that begin, and stop": {first: hello[:len(hello)/2]},
		"byte by byte":         {first: hello[:10], next: hello[10:11]},
		"that never answer":    {first: hello},
	} {
		t.Run(name, func(t *testing.T) {
			const clients, each = 200, 48 << 10
			g := secureRig(t, func(c *Config) { c.Limits.HeaderTimeout = resource.Duration(time.Hour) })
			g.raw("a", answers(200, "ok"))
			without := g.healthy(300)
			before := memory()
			var slow []net.Conn
			for range clients {
				conn, err := net.Dial("tcp", g.address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				_, _ = conn.Write(c.first)
				slow = append(slow, conn)
			}
			until(t, "all are connected", func() bool { n, _ := g.front.Connections(); return n > clients })
			for _, conn := range slow {
				_, _ = conn.Write(c.next)
			}
			with := g.healthy(300)
			got := (memory() - before) / clients
			t.Logf("%d bytes each; p99 %v with and %v without", got, with, without)
			if got > each*costOfMemory {
				t.Errorf("each holds %d bytes, more than %d", got, each)
			}
			limits := *g.config
			limits.Limits.HeaderTimeout = resource.Duration(time.Millisecond)
			limits.Limits.IdleTimeout = resource.Duration(time.Millisecond)
			g.front.Configure(&limits)
			until(t, "they are sent away", func() bool { n, _ := g.front.Connections(); return n == 0 })
		})
	}
}

// clientHello is how a client begins.
func clientHello(t *testing.T) []byte {
	t.Helper()
	here, there := net.Pipe()
	defer there.Close()
	var wg sync.WaitGroup
	wg.Go(func() { _ = tls.Client(here, &tls.Config{ServerName: "a"}).Handshake() })
	defer wg.Wait()
	defer here.Close()
	hello := make([]byte, 16<<10)
	n, err := there.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	return hello[:n]
}

func TestWhatIsNoTLSIsRefused(t *testing.T) {
	g := secureRig(t)
	g.raw("a", answers(200, "ok"))
	for name, c := range map[string]struct{ send, want string }{
		"plain HTTP":      {request, "HTTP/1.1 400 Bad Request\r\n"},
		"plain HTTP POST": {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 400 Bad Request\r\n"},
		"garbage":         {strings.Repeat("\x00\xff", 5000), ""},
		"a long record":   {"\x16\x03\x01\xff\xff" + strings.Repeat("x", 20000), ""},
		"an empty record": {"\x16\x03\x01\x00\x00" + strings.Repeat("\x16\x03\x01\x00\x00", 100), ""},
		"nothing":         {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", g.address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			_, _ = io.WriteString(conn, c.send)
			_ = conn.(*net.TCPConn).CloseWrite()
			got, _ := io.ReadAll(conn)
			if !strings.HasPrefix(string(got), c.want) || c.want == "" && bytes.Contains(got, []byte("HTTP")) {
				t.Errorf("got %q", got)
			}
			if c.want != "" && !strings.Contains(string(got), "this port speaks HTTPS") {
				t.Errorf("got %q", got)
			}
		})
	}
	g.wantCounts(counts{})
}

func TestOldVersionsOfTLSAreRefused(t *testing.T) {
	g := secureRig(t)
	g.raw("a", answers(200, "ok"))
	for version, ok := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		trust := g.trust.Clone()
		trust.MinVersion, trust.MaxVersion = tls.VersionTLS10, version
		conn, err := tls.Dial("tcp", g.address, trust)
		if ok != (err == nil) || err != nil && !strings.Contains(err.Error(), "protocol version not supported") {
			t.Errorf("%s: %v", tls.VersionName(version), err)
			continue
		}
		if err == nil {
			_, _ = io.WriteString(conn, request)
			g.wantAnswer(bufio.NewReader(conn), "ok")
			conn.Close()
		}
	}
}

// tap gives a client's TLS what is to be sent, for the test to send as it likes.
type tap struct {
	net.Conn
	held    *bytes.Buffer // nil: nothing is held back
	records []int         // the lengths of those that came, once their header has been seen
	rest    int
	header  []byte
}

func (c *tap) Write(p []byte) (int, error) {
	if c.held != nil {
		return c.held.Write(p)
	}
	return c.Conn.Write(p)
}

func (c *tap) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for _, b := range p[:n] {
		if c.rest > 0 {
			c.rest--
			continue
		}
		if c.header = append(c.header, b); len(c.header) == 5 {
			c.rest = int(binary.BigEndian.Uint16(c.header[3:]))
			c.records, c.header = append(c.records, c.rest), nil
		}
	}
	return n, err
}

func (g *rig) tapped() (*tls.Conn, *tap) {
	g.t.Helper()
	conn, err := net.Dial("tcp", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	c := &tap{Conn: conn}
	s := tls.Client(c, g.trust)
	if err := s.Handshake(); err != nil {
		g.t.Fatal(err)
	}
	return s, c
}

// However records and what comes at once go together, every request is answered,
// also when the connection had lost its goroutine in the middle of a record.
func TestRecordsInPieces(t *testing.T) {
	g := secureRig(t)
	g.raw("a", answers(200, "ok"))
	s, c := g.tapped()
	r := bufio.NewReader(s)
	send := func(p []byte) {
		t.Helper()
		if _, err := c.Conn.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	sealed := func(texts ...string) []byte {
		c.held = &bytes.Buffer{}
		defer func() { c.held = nil }()
		for _, text := range texts {
			fmt.Fprint(s, text)
		}
		return c.held.Bytes()
	}
	parked := func() {
		t.Helper()
		until(t, "it is parked", func() bool {
			all := g.front.connections(nil)
			return len(all) == 1 && (g.front.lot == nil || all[0].isParked())
		})
	}
	send(sealed(request, request, request)) // records at once
	for range 3 {
		g.wantAnswer(r, "ok")
	}
	send(sealed(strings.Repeat(request, 300))) // more than a buffer in one record
	for range 300 {
		g.wantAnswer(r, "ok")
	}
	parked()
	one := sealed(request)
	send(one[:3])
	parked() // it was woken, and waits again
	send(one[3:])
	g.wantAnswer(r, "ok")
	two := sealed(request, request)
	send(two[:len(two)-7])
	g.wantAnswer(r, "ok")
	parked()
	send(two[len(two)-7:])
	g.wantAnswer(r, "ok")
	fields := sealed("GET / HTTP/1.1\r\n", "Ho", "st: a\r\n\r\n")
	for i := range fields {
		send(fields[i : i+1])
	}
	g.wantAnswer(r, "ok")
}

// A small answer is one record, and large ones fill theirs.
func TestAnswersFillRecords(t *testing.T) {
	g := secureRig(t)
	sizes := []int{10, 3000, 10_000, 1 << 20}
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var size int
		fmt.Sscan(r.URL.Path[1:], &size)
		w.Header().Set("Content-Length", fmt.Sprint(size))
		_, _ = io.WriteString(w, strings.Repeat("x", size))
	}))
	s, c := g.tapped()
	r := bufio.NewReader(s)
	for _, size := range sizes {
		fmt.Fprintf(s, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", size)
		if size == sizes[0] {
			g.wantAnswer(r, strings.Repeat("x", size))
			continue // the tickets came, too
		}
		c.records = nil
		g.wantAnswer(r, strings.Repeat("x", size))
		most := 2
		if size > 16<<10 {
			most = size / (8 << 10) // the backend's pieces are what they are
		}
		if size < joined {
			most = 1
		}
		if len(c.records) > most {
			t.Errorf("%d bytes came in %d records: %v", size, len(c.records), c.records)
		}
	}
}

// Sessions go on over new configurations of the front.
func TestSessionsAreResumed(t *testing.T) {
	g := secureRig(t)
	g.raw("a", answers(200, "ok"))
	for i := range 3 {
		s, _ := g.tapped()
		if got := s.ConnectionState().DidResume; got != (i > 0) {
			t.Errorf("connection %d resumed: %v", i, got)
		}
		fmt.Fprint(s, request)
		g.wantAnswer(bufio.NewReader(s), "ok")
		s.Close()
		next := *g.config
		g.front.Configure(&next)
	}
}

// A client that says that it sends no more, and stays, gets its answer.
func TestAClientThatSaysGoodbyeFirstGetsItsAnswer(t *testing.T) {
	g := secureRig(t)
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-time.After(10 * lookAfter)
		fmt.Fprint(w, "late")
	}))
	s, _ := g.tapped()
	fmt.Fprint(s, request)
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(s)
	g.wantAnswer(r, "late")
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("then %v", err)
	}
}

// An answer that only the end of the connection ends says so, or is seen not to be whole.
func TestTheEndOfAConnectionIsSaid(t *testing.T) {
	for name, whole := range map[string]bool{"whole": true, "not whole": false} {
		t.Run(name, func(t *testing.T) {
			g := secureRig(t)
			g.raw("a", func(b *raw, c net.Conn) bool {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n")
				<-time.After(50 * time.Millisecond)
				if whole {
					_, _ = io.WriteString(c, "0\r\n\r\n")
				}
				return false
			})
			s, _ := g.tapped()
			fmt.Fprint(s, "GET / HTTP/1.0\r\nHost: a\r\n\r\n")
			got, err := io.ReadAll(s)
			if !strings.HasSuffix(string(got), "body") || whole != (err == nil) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
