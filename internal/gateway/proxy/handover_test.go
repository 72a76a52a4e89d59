package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// bequest is a front that leaves, and the one that it gives connections to.
type bequest struct {
	from, to *rig
	soon     chan struct{}
	left     chan struct{} // closed: Leave has returned

	mu    sync.Mutex
	given []IdleConn
}

func newBequest(t *testing.T, change ...func(*Config)) *bequest {
	b := &bequest{from: newRig(t, change...), to: newRig(t, change...), soon: make(chan struct{}), left: make(chan struct{})}
	b.to.raw("b", answers(200, "heir"))
	return b
}

// leave has the front leave, and refuse says why nothing is taken.
func (b *bequest) leave(refuse error) {
	b.from.front.Pause()
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(b.left)
		b.from.front.Leave(func(list []IdleConn) error {
			if refuse == nil {
				b.take(list)
			}
			return refuse
		}, b.soon)
	})
	b.from.t.Cleanup(wg.Wait)
}

// take is what another process makes of the connections.
func (b *bequest) take(list []IdleConn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range list {
		f, err := i.TCP.File()
		if err != nil {
			b.from.t.Error(err)
			continue
		}
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			b.from.t.Error(err)
			continue
		}
		b.given = append(b.given, i)
		b.to.front.Adopt(IdleConn{TCP: c.(*net.TCPConn), First: i.First, Age: i.Age})
	}
}

func (b *bequest) taken() (all, first int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range b.given {
		if i.First {
			first++
		}
	}
	return len(b.given), first
}

func (b *bequest) wantEnd() {
	b.from.t.Helper()
	select {
	case <-b.left:
	case <-time.After(patience):
		b.from.t.Fatal("the front does not end")
	}
}

func sayTo(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

const plainGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

func answerOn(t *testing.T, c net.Conn) (body string, closes bool) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), resp.Close
}

// gated answers when it is let.
func gated() (h http.Handler, asked, answer chan struct{}) {
	asked, answer = make(chan struct{}, 10), make(chan struct{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			asked <- struct{}{}
			<-answer
		}
		fmt.Fprint(w, "before")
	}), asked, answer
}

// Whatever a connection does when its front leaves, it goes on at the other one.
func TestLeavingGivesConnectionsAway(t *testing.T) {
	b := newBequest(t)
	h, asked, answer := gated()
	b.from.serve("a", h)
	var unused, parks, waiting []net.Conn
	for range 3 {
		parks = append(parks, b.from.dial())
		sayTo(t, parks[len(parks)-1], plainGet)
		answerOn(t, parks[len(parks)-1])
	}
	<-time.After(2 * parkAfter)
	for range 3 {
		unused = append(unused, b.from.dial())
		waiting = append(waiting, b.from.dial())
		sayTo(t, waiting[len(waiting)-1], plainGet)
		answerOn(t, waiting[len(waiting)-1])
	}
	begun, busy, piped := b.from.dial(), b.from.dial(), b.from.dial()
	sayTo(t, begun, plainGet[:20])
	for _, c := range []net.Conn{busy, piped} {
		sayTo(t, c, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
		<-asked
	}
	sayTo(t, piped, plainGet)
	until(t, "all are there", func() bool { return b.from.front.open() == 12 })
	b.leave(nil)
	until(t, "those that wait are given", func() bool { n, _ := b.taken(); return n == 9 })
	if _, first := b.taken(); first != 3 {
		t.Errorf("%d are said to have carried no request, of 3", first)
	}
	close(answer)
	sayTo(t, begun, plainGet[20:])
	for _, c := range []net.Conn{begun, busy} {
		if body, closes := answerOn(t, c); body != "before" || closes {
			t.Errorf("what was begun before is answered %q, closes %v", body, closes)
		}
	}
	in := bufio.NewReader(piped)
	for range 2 {
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.Close {
			t.Fatalf("a request behind another one: %v, %v", resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	b.wantEnd()
	all := append(append(append(unused, parks...), waiting...), begun, busy, piped)
	for n, c := range all {
		sayTo(t, c, plainGet)
		if body, closes := answerOn(t, c); body != "heir" || closes {
			t.Errorf("connection %d: %q, closes %v", n, body, closes)
		}
	}
	if now, _ := b.to.front.Connections(); now != len(all) {
		t.Errorf("the other one counts %d connections of %d", now, len(all))
	}
}

// A connection that waited long is not let wait as long again.
func TestAConnectionKeepsItsAge(t *testing.T) {
	b := newBequest(t, func(c *Config) { c.Limits.IdleTimeout = resource.Duration(3 * time.Second) })
	b.from.raw("a", answers(200, "before"))
	c := b.from.dial()
	sayTo(t, c, plainGet)
	answerOn(t, c)
	began := time.Now()
	<-time.After(2 * time.Second)
	b.leave(nil)
	b.wantEnd()
	if n, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read %d, %v", n, err)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it was closed after %s, and may wait for 3s", took)
	}
}

// What nobody takes is answered once more, and told that this was the last.
func TestConnectionsThatNobodyTakesAreServedOn(t *testing.T) {
	b := newBequest(t)
	b.from.raw("a", answers(200, "before"))
	unused, used := b.from.dial(), b.from.dial()
	sayTo(t, used, plainGet)
	answerOn(t, used)
	until(t, "both are there", func() bool { return b.from.front.open() == 2 })
	b.leave(errors.New("there is no other"))
	until(t, "it is known that nobody takes any", func() bool {
		return b.from.front.retiring.Load() && b.from.front.heir.Load() == nil
	})
	for _, c := range []net.Conn{unused, used} {
		sayTo(t, c, plainGet)
		if body, closes := answerOn(t, c); body != "before" || !closes {
			t.Errorf("answered %q, closes %v", body, closes)
		}
	}
	b.wantEnd()
}

// Each request has the drain's time-out, from its begin when that is later.
func TestRequestsHaveTheirTimeAfterLeaving(t *testing.T) {
	const drain = 600 * time.Millisecond
	b := newBequest(t, func(c *Config) { c.DrainTimeout = drain })
	h, asked, answer := gated()
	defer close(answer)
	b.from.serve("a", h)
	early, late := b.from.dial(), b.from.dial()
	sayTo(t, early, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	<-asked
	until(t, "both are there", func() bool { return b.from.front.open() == 2 })
	began := time.Now()
	b.leave(errors.New("there is no other"))
	<-time.After(drain / 2)
	sayTo(t, late, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	<-asked
	_, err := early.Read(make([]byte, 1))
	if took := time.Since(began); took < drain || took > drain+time.Second {
		t.Errorf("the early one was ended after %s, %v", took, err)
	}
	answer <- struct{}{} // whose backend goroutine is the early one's, or
	answer <- struct{}{} // the late one's
	if body, _ := answerOn(t, late); body != "before" {
		t.Errorf("the late one is answered %q", body)
	}
	b.wantEnd()
}

// One that is told to hurry waits for no requests any more.
func TestLeavingSoon(t *testing.T) {
	b := newBequest(t)
	b.from.dial()
	until(t, "it is there", func() bool { return b.from.front.open() == 1 })
	b.leave(errors.New("there is no other"))
	close(b.soon)
	began := time.Now()
	b.wantEnd()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}
