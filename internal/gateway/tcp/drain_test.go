package tcp

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

const drain = 400 * time.Millisecond

func shortDrain(c *Config) { c.DrainTimeout = drain }

// drained puts a member into draining and returns how long c lived on, being talked on.
func (g *rig) drained(member string, c *net.TCPConn) time.Duration {
	g.t.Helper()
	began := time.Now()
	g.pool.Admit(g.members[member], resource.AdmissionDraining)
	return g.livesOn(c, began)
}

func (g *rig) livesOn(c *net.TCPConn, began time.Time) time.Duration {
	g.t.Helper()
	b := make([]byte, 1)
	for {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, err := c.Read(b) // between two questions it only listens
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			_ = c.SetReadDeadline(time.Now().Add(patience))
			if time.Since(began) < drain/2 {
				g.ask(c)
			}
			continue
		}
		if !errors.Is(err, io.EOF) {
			g.t.Errorf("the connection ended with %v", err)
		}
		c.Close()
		return time.Since(began)
	}
}

func TestADrainOfAnInstance(t *testing.T) {
	g := newRig(t, shortDrain)
	a := g.serve("a", named('a'))
	old := g.dial()
	g.ask(old)
	g.serve("b", named('b'))
	lived := make(chan time.Duration, 1)
	go func() { lived <- g.drained("a", old) }()
	until(t, "it drains", func() bool { return g.pool.State(a).Draining })
	for range 5 {
		c := g.dial()
		if got := g.ask(c); got != 'b' {
			t.Errorf("a new connection went to %c", got)
		}
		c.Close()
	}
	if d := <-lived; d < drain {
		t.Errorf("the old connection lived on for %s only", d)
	}
	if s := g.pool.State(a); s.Ended != resource.DrainTimeout {
		t.Errorf("the drain ended %q", s.Ended)
	}
	g.wantCounts(counts{requests: 6, ended: 1})
}

func TestADrainEndsWithTheLastConnection(t *testing.T) {
	g := newRig(t, func(c *Config) { c.DrainTimeout = time.Hour })
	a := g.serve("a", echo)
	c := g.dial()
	g.ask(c)
	g.pool.Admit(a, resource.AdmissionDraining)
	c.Close()
	until(t, "the drain is over", func() bool { return g.pool.State(a).Ended == resource.DrainIdle })
	g.wantCounts(counts{requests: 1})
}

// What the process still had to say when the drain ended is passed on.
func TestAnAnswerAtTheEndOfADrain(t *testing.T) {
	g := newRig(t, shortDrain)
	a := g.serve("a", func(c *net.TCPConn) {
		all, _ := io.ReadAll(c)
		<-time.After(50 * time.Millisecond)
		_, _ = c.Write(all)
	})
	c := g.dial()
	if _, err := c.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	until(t, "it is joined", func() bool { return g.pool.Busy() })
	g.pool.Admit(a, resource.AdmissionDraining)
	if got, err := io.ReadAll(c); err != nil || string(got) != "question" {
		t.Errorf("got %q, %v", got, err)
	}
	c.Close()
	g.wantCounts(counts{requests: 1, ended: 1})
}

// What is sent after the end has no answer, and is counted as lost.
func TestAQuestionAfterTheEndOfADrainIsCut(t *testing.T) {
	g := newRig(t, shortDrain)
	a := g.serve("a", echo)
	c := g.dial()
	g.ask(c)
	g.pool.Admit(a, resource.AdmissionDraining)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("?")); err != nil {
		t.Fatal(err)
	}
	c.Close()
	g.wantCounts(counts{requests: 1, cut: 1})
}

// An endless answer, and a client that does not take it, end with the drain too.
func TestAStreamEndsWithTheDrain(t *testing.T) {
	for name, reads := range map[string]bool{"a client that reads": true, "one that does not": false} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, shortDrain)
			a := g.serve("a", func(c *net.TCPConn) {
				for chunk := make([]byte, 64<<10); ; {
					if _, err := c.Write(chunk); err != nil {
						return
					}
				}
			})
			c := g.dial()
			want := counts{requests: 1, cut: 1}
			if reads {
				want = counts{requests: 1, ended: 1}
				go func() {
					_, _ = io.Copy(io.Discard, c)
					c.Close()
				}()
			}
			until(t, "it is joined", func() bool { return g.pool.Busy() })
			g.pool.Admit(a, resource.AdmissionDraining)
			g.wantCounts(want)
		})
	}
}

func TestAnInstanceThatIsTakenAway(t *testing.T) {
	g := newRig(t)
	a := g.serve("a", echo)
	c := g.dial()
	g.ask(c)
	g.pool.Admit(a, resource.AdmissionOut)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the client got %v", err)
	}
	c.Close()
	g.wantCounts(counts{requests: 1, cut: 1})
}

func TestAnInstanceThatDies(t *testing.T) {
	g := newRig(t)
	pid, kill := process(t)
	address, die := g.program(echo)
	a := g.add("a", address, pid)
	answered, c := g.dial(), g.dial()
	g.ask(answered)
	g.ask(c)
	answered.Close()
	until(t, "one has ended", func() bool { return countsOf(&g.counters).requests == 1 })
	kill()
	die()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection lives on")
	}
	c.Close()
	g.wantCounts(counts{requests: 2, cut: 1})
	if g.pool.State(a).Up {
		t.Error("new connections would still go to it")
	}
}

// A process that lives on may end a connection when it likes.
func TestAProcessThatHangsUp(t *testing.T) {
	g := newRig(t)
	pid, _ := process(t)
	address, _ := g.program(func(c *net.TCPConn) { _, _ = c.Write([]byte("bye")) })
	g.add("a", address, pid)
	c := g.dial()
	if got, err := io.ReadAll(c); err != nil || string(got) != "bye" {
		t.Errorf("got %q, %v", got, err)
	}
	c.Close()
	g.wantCounts(counts{requests: 1})
}

// A listener's drain gives connections its whole time, and takes no new ones.
func TestADrainOfAListener(t *testing.T) {
	g := newRig(t, shortDrain)
	g.serve("a", echo)
	c := g.dial()
	g.ask(c)
	began := time.Now()
	g.front.Close()
	if late, err := net.Dial("tcp", g.address); err == nil {
		late.Close()
		t.Error("it still listens")
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		g.front.Finish(0)
	}()
	if d := g.livesOn(c, began); d < drain {
		t.Errorf("the connection lived on for %s only", d)
	}
	<-finished
	g.wantCounts(counts{requests: 1, ended: 1})
}

func TestWhoWaitsWhenTheListenerEnds(t *testing.T) {
	g := newRig(t, func(c *Config) { c.DrainTimeout = 0; c.QueueTimeout = time.Hour })
	c := g.dial()
	until(t, "it waits", func() bool { return g.queue.Waiting() == 1 })
	g.front.Close()
	g.front.Finish(0)
	wantReset(t, c)
	g.wantCountsOf(counts{requests: 1, cut: 1}, &g.counters, &g.unserved)
}
