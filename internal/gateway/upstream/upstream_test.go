package upstream

import (
	"errors"
	"net"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen accepts connections and gives them to the test.
func listen(t *testing.T) (address string, accepted <-chan net.Conn, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn, 16)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			select {
			case conns <- c:
			default: // nobody looks at so many
				c.Close()
			}
		}
	})
	stop = sync.OnceFunc(func() {
		l.Close()
		wg.Wait()
		close(conns)
		for c := range conns {
			c.Close()
		}
	})
	t.Cleanup(stop)
	return l.Addr().String(), conns, stop
}

func dial(t *testing.T, b *Backend) *Conn {
	t.Helper()
	c, err := b.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConnectionsAreReusedWhileTheyAreGood(t *testing.T) {
	address, accepted, _ := listen(t)
	b := New(address, 0, nil)
	c := dial(t, b)
	other := <-accepted
	c.Keep()
	if got := b.Reusable(time.Minute, true); got != c || !c.Reused {
		t.Fatalf("got %v, want the connection that was kept", got)
	}
	c.Keep()
	if got := b.Reusable(0, false); got != nil {
		t.Error("one that is too old was given out")
	}
	if got := b.Reusable(time.Minute, false); got != c {
		t.Error("one that was too old for one request is gone for all")
	}
	c.Close()
	c = dial(t, b)
	other.Close()
	other = <-accepted
	c.Keep()
	other.Close()
	if got := b.Reusable(time.Minute, true); got != nil {
		t.Error("one that the other end has closed was given out")
	}
	c = dial(t, b)
	other = <-accepted
	defer other.Close()
	if _, err := other.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := c.Fill(); err != nil {
		t.Fatal(err)
	}
	c.Keep()
	if got := b.Reusable(time.Minute, true); got != nil {
		t.Error("one with bytes that nobody asked for was given out")
	}
}

func TestARetiredBackendKeepsNoConnection(t *testing.T) {
	address, accepted, _ := listen(t)
	b := New(address, 0, nil)
	closed := func(c net.Conn) {
		t.Helper()
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("the connection is open: %v", err)
		}
		c.Close()
	}
	idle, busy := dial(t, b), dial(t, b)
	first, second := <-accepted, <-accepted
	idle.Keep()
	b.Retire(true)
	closed(first)
	busy.Keep()
	closed(second)
	b.Retire(false)
	c := dial(t, b)
	third := <-accepted
	c.Keep()
	b.Sweep(time.Now().Add(IdleTime / 2))
	if got := b.Reusable(time.Minute, true); got != c {
		t.Fatal("a sweep closed what was used lately")
	}
	c.Keep()
	b.Sweep(time.Now().Add(2 * IdleTime))
	closed(third)
}

func TestForbiddenAddressesAreNotConnectedTo(t *testing.T) {
	address, _, _ := listen(t)
	b := New(address, 0, func(a string) bool { return a == address })
	if _, err := b.Dial(t.Context()); !errors.Is(err, ErrForbidden) {
		t.Errorf("got %v", err)
	}
}

func TestDied(t *testing.T) {
	t.Run("by its number, also when nobody reaps it", func(t *testing.T) {
		cmd := exec.Command("sleep", "60")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		b := New("127.0.0.1:1", cmd.Process.Pid, nil)
		if b.Died(t.Context()) {
			t.Error("it lives")
		}
		_ = cmd.Process.Kill()
		if !b.Died(t.Context()) {
			t.Error("it is dead")
		}
		_ = cmd.Wait()
		if !b.Died(t.Context()) {
			t.Error("it is gone")
		}
	})
	t.Run("by its address, when its number is not known", func(t *testing.T) {
		address, _, stop := listen(t)
		b := New(address, 0, nil)
		if b.Died(t.Context()) {
			t.Error("somebody listens")
		}
		stop()
		if !b.Died(t.Context()) {
			t.Error("nobody listens")
		}
	})
}

// A burst after a pause finds connections that the other end has closed meanwhile:
// none of them may cost a request its one chance.
func TestConnectionsThatWereClosedInAPauseAreNotUsed(t *testing.T) {
	address, accepted, _ := listen(t)
	b := New(address, 0, nil)
	var all []*Conn
	for range 5 {
		all = append(all, dial(t, b))
		(<-accepted).Close()
	}
	for _, c := range all {
		c.Keep()
	}
	<-time.After(2 * lately)
	if c := b.Reusable(time.Minute, false); c != nil {
		t.Error("one that the other end has closed was given out")
	}
}
