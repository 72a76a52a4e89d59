package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

const tcpDrain = 3 * time.Second

const tcpDocuments = `
kind: ScaleSet
name: hello
spec:
  image: hello:1.0.0
  capacity: 2
  health: {interval: 200ms, gracePeriod: 10s}
  upgradePolicy: {blueGreen: {bakeTime: 1s, keepPrevious: 1m}}
---
kind: LoadBalancer
name: front
spec: {listen: "127.0.0.1:0", protocol: tcp, backend: hello, drainTimeout: 3s}
`

// Connections that have no end of their own live on through a flip to the end of
// the drain, new ones are always served, and what is lost is what is counted.
func TestTCPConnectionsThroughAFlipAndADeath(t *testing.T) {
	s := startServer(t)
	s.push("hello:1.0.0", sample.Config{TCP: true})
	s.push("hello:2.0.0", sample.Config{TCP: true})
	s.apply(tcpDocuments)
	address := s.serving(2)

	long := openLines(t, address, 16)
	stop := newConnections(t, address)
	rollout := s.roll("hello:2.0.0")
	r := s.ends(rollout, resource.RolloutSucceeded)
	lost := long.wait()
	made, flipped := stop()
	if made < 20 || flipped.IsZero() {
		t.Fatalf("%d new connections, flipped at %s: nothing to see", made, flipped)
	}
	for _, ended := range long.ended {
		if lived := ended.Sub(flipped); lived < tcpDrain-500*time.Millisecond {
			t.Errorf("a connection ended %s after the flip, its drain takes %s", lived, tcpDrain)
		}
	}
	inFlight := 0
	for _, d := range r.Status.Report.Drains {
		inFlight += d.InFlight
	}
	if inFlight < 16 {
		t.Errorf("the drains held %d connections: %+v", inFlight, r.Status.Report.Drains)
	}
	s.lostConnections(16-lost, lost)

	again := openLines(t, address, 16)
	victim := s.instancesOfVersion("2.0.0")[0]
	check(t, syscall.Kill(victim.Status.PID, syscall.SIGKILL))
	dead := again.waitFor(8) // half of them: the least busy instance gets the next connection
	s.lostConnections(16-lost, lost+dead)
	again.close()
}

// lostConnections checks what the gateway has counted, of all versions.
func (s *server) lostConnections(ended, cut int) {
	s.t.Helper()
	var got [3]uint64
	s.eventually(5*time.Second, fmt.Sprintf("%d connections are counted as ended and %d as cut", ended, cut), func() (bool, error) {
		got = [3]uint64{sum(s.counted("ended")), sum(s.counted("cut")), sum(s.counted("failed"))}
		return got[0] == uint64(ended) && got[1] == uint64(cut), nil
	})
	if got[2] != 0 {
		s.t.Errorf("%d are counted as failed", got[2])
	}
}

func (s *server) instancesOfVersion(version string) (list []resource.Instance) {
	s.t.Helper()
	for _, in := range s.instances() {
		if in.Status.Version == version && in.Status.PID > 0 {
			list = append(list, in)
		}
	}
	if len(list) == 0 {
		s.t.Fatalf("no instance of %s runs", version)
	}
	return list
}

// line is a connection on which one line is asked and answered.
type line struct {
	net.Conn
	answers *bufio.Reader
}

func openLine(address string) (*line, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &line{c, bufio.NewReader(c)}, nil
}

// ask returns the version that answered.
func (l *line) ask() (version string, err error) {
	if err := l.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(l, "ping"); err != nil {
		return "", err
	}
	answer, err := l.answers.ReadString('\n')
	if err != nil {
		return "", err
	}
	version, rest, _ := strings.Cut(answer, " ")
	if rest != "ping\n" {
		return "", fmt.Errorf("the answer is %q", answer)
	}
	return version, nil
}

// quiet waits as a client does that listens between two questions; false: the stream has ended.
func (l *line) quiet(d time.Duration) bool {
	_ = l.SetReadDeadline(time.Now().Add(d))
	_, err := l.answers.ReadByte()
	ne := net.Error(nil)
	return errors.As(err, &ne) && ne.Timeout()
}

// lines are connections that ask until they end.
type lines struct {
	t     *testing.T
	conns []*line
	all   sync.WaitGroup

	mu    sync.Mutex
	ended []time.Time
	lost  int // of them: that had asked and got no answer
}

func openLines(t *testing.T, address string, n int) *lines {
	t.Helper()
	ls := &lines{t: t}
	for range n {
		l, err := openLine(address)
		check(t, err)
		t.Cleanup(func() { l.Close() })
		_, err = l.ask()
		check(t, err)
		ls.conns = append(ls.conns, l)
	}
	for _, l := range ls.conns {
		ls.all.Go(func() { ls.talk(l) })
	}
	return ls
}

func (ls *lines) talk(l *line) {
	defer l.Close()
	var err error
	for err == nil && l.quiet(100*time.Millisecond) {
		_, err = l.ask()
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.ended = append(ls.ended, time.Now())
	if err != nil {
		ls.lost++
	}
}

// wait waits until all have ended and returns how many questions had no answer.
func (ls *lines) wait() (lost int) {
	ls.all.Wait()
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.lost
}

// waitFor waits until n have ended, and for a moment that no more do.
func (ls *lines) waitFor(n int) (ended int) {
	ls.t.Helper()
	count := func() int {
		ls.mu.Lock()
		defer ls.mu.Unlock()
		return len(ls.ended)
	}
	for end := time.Now().Add(10 * time.Second); count() < n && time.Now().Before(end); {
		<-time.After(10 * time.Millisecond)
	}
	<-time.After(300 * time.Millisecond)
	if got := count(); got != n {
		ls.t.Errorf("%d connections ended, not %d", got, n)
	}
	return count()
}

func (ls *lines) close() {
	for _, l := range ls.conns {
		l.Close()
	}
	ls.all.Wait()
}

// newConnections makes one after the other until stop is called. Each must be
// served. flipped is when the second version answered first.
func newConnections(t *testing.T, address string) (stop func() (made int, flipped time.Time)) {
	done := make(chan struct{})
	var all sync.WaitGroup
	made, flipped := 0, time.Time{}
	once := func() error {
		l, err := openLine(address)
		if err != nil {
			return err
		}
		defer l.Close()
		version, err := l.ask()
		if version == "2.0.0" && flipped.IsZero() {
			flipped = time.Now()
		}
		return err
	}
	all.Go(func() {
		for ; ; made++ {
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
			}
			if err := once(); err != nil {
				t.Errorf("new connection %d: %v", made, err)
			}
		}
	})
	end := sync.OnceFunc(func() { close(done); all.Wait() })
	t.Cleanup(end)
	return func() (int, time.Time) { end(); return made, flipped }
}
