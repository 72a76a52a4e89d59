package control_test

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/gateway/wire"
)

// standby is the gateway that stands by, if one does.
func (s *site) standby() (wire.Identity, bool) {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
	defer cancel()
	c, err := wire.Dial(ctx, wire.Standby.SocketPath(filepath.Join(s.dir, "run")))
	if err != nil {
		return wire.Identity{}, false
	}
	defer c.Close()
	var h wire.Hello
	_, err = c.Call(ctx, wire.OpHello, struct{}{}, &h)
	return h.Identity, err == nil
}

// Whichever gateway is killed at whatever point of a replacement: no connection is
// refused, no more is lost than was in flight, and one gateway serves.
func TestGatewaysKilledWhileOneSucceedsTheOther(t *testing.T) {
	const clients, rounds = 4, 12
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := newSite(t)
	address := s.serving("hello", "front", 2)
	var l load
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() { l.run(ctx, address) })
	}
	run := filepath.Join(s.dir, "run")
	victims := map[string]func() (wire.Identity, bool){
		"the one that serves":    func() (wire.Identity, bool) { return wire.Serving.Recorded(run) },
		"the one that leaves":    func() (wire.Identity, bool) { return wire.Leaving.Recorded(run) },
		"the one that stands by": s.standby,
	}
	names := []string{"the one that serves", "the one that leaves", "the one that stands by"}
	for round := range rounds {
		lost := l.lost.Load()
		name := names[round%len(names)]
		s.Replace()
		delay := time.Duration(random.IntN(100)) * time.Millisecond
		<-time.After(delay)
		var id wire.Identity
		for end := time.Now().Add(time.Second); time.Now().Before(end); { // there may be no such one any more
			if found, ok := victims[name](); ok && found.Alive() {
				id = found
				break
			}
		}
		if id.PID != 0 {
			_ = syscall.Kill(id.PID, syscall.SIGKILL)
		}
		answered := l.answered.Load()
		s.until("traffic flows again", func() bool { return l.answered.Load() > answered+5*clients })
		s.until("a gateway is told what the documents say", func() bool { return s.Applied(s.store.Revision()) })
		t.Logf("round %d: killed %s (%d) after %s, lost %d", round, name, id.PID, delay, l.lost.Load()-lost)
		if n := l.lost.Load() - lost; n > clients {
			t.Errorf("%d requests were lost of at most %d in flight", n, clients)
		}
	}
	stop()
	wg.Wait()
	if n := l.refused.Load(); n > 0 {
		t.Errorf("%d connections were refused", n)
	}
}

// The control process may end at any point of a replacement: the next one goes on
// with one gateway, and nothing is lost.
func TestControlProcessesThatEndInAReplacement(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := newSite(t)
	address := s.serving("hello", "front", 2)
	idle := dialKept(t, address)
	var l load
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { l.run(ctx, address) })
	}
	for range 10 {
		s.Replace()
		<-time.After(time.Duration(random.IntN(150)) * time.Millisecond)
		s.stopControl()
		s.startControl()
		s.until("the gateways are told what the documents say", func() bool { return s.Applied(s.store.Revision()) })
	}
	stop()
	wg.Wait()
	if _, keep, err := idle.ask(); err != nil || !keep {
		t.Errorf("an idle connection: kept %v, %v", keep, err)
	}
	if l.refused.Load()+l.lost.Load() > 0 {
		t.Errorf("%d refused, %d lost", l.refused.Load(), l.lost.Load())
	}
}
