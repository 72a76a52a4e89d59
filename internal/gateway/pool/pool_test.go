package pool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/droverhq/drover/internal/resource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type holder struct{ interrupted atomic.Bool }

func (h *holder) Interrupt() { h.interrupted.Store(true) }

func newPool(drain time.Duration, names ...string) (*Pool, []*Member) {
	p := New(&Queue{}, drain, nil)
	var list []*Member
	for _, n := range names {
		m := &Member{Name: n}
		p.Add(m, resource.AdmissionInService, true)
		list = append(list, m)
	}
	return p, list
}

// claim claims without waiting.
func claim(t testing.TB, p *Pool, tried ...*Member) *Claim {
	t.Helper()
	c := &Claim{}
	if err := p.Claim(t.Context(), c, &holder{}, time.Now(), tried); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheLeastBusyMemberIsPickedAndTiesGoRound(t *testing.T) {
	p, _ := newPool(time.Second, "a", "b", "c")
	counts := map[string]int{}
	var held []*Claim
	for range 9 {
		c := claim(t, p)
		counts[c.Member.Name]++
		held = append(held, c)
	}
	for name, n := range counts {
		if n != 3 {
			t.Errorf("%s holds %d of 9 requests", name, n)
		}
	}
	var free *Member
	for _, c := range held {
		if c.Member.Name == "b" {
			free = c.Member
			p.Release(c, false)
		}
	}
	for range 3 {
		if c := claim(t, p); c.Member != free {
			t.Errorf("picked %s, which is busier than b", c.Member.Name)
		}
	}
}

func TestOneRequestAtATimeStillGoesRound(t *testing.T) {
	p, _ := newPool(time.Second, "a", "b", "c")
	counts := map[string]int{}
	for range 30 {
		c := claim(t, p)
		counts[c.Member.Name]++
		p.Release(c, false)
	}
	for name, n := range counts {
		if n != 10 {
			t.Errorf("%s had %d of 30", name, n)
		}
	}
}

func TestWhoMayBePicked(t *testing.T) {
	cases := []struct {
		name      string
		admission resource.Admission
		healthy   bool
		refused   bool
		want      bool
	}{
		{"in service and healthy", resource.AdmissionInService, true, false, true},
		{"unhealthy", resource.AdmissionInService, false, false, false},
		{"refused a connection", resource.AdmissionInService, true, true, false},
		{"draining", resource.AdmissionDraining, true, false, false},
		{"out", resource.AdmissionOut, true, false, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, _ := newPool(time.Second)
			m := &Member{Name: "a"}
			p.Add(m, c.admission, c.healthy)
			if c.refused {
				p.Refuse(m)
			}
			err := p.Claim(t.Context(), &Claim{}, &holder{}, time.Now(), nil)
			if (err == nil) != c.want {
				t.Errorf("claim: %v", err)
			}
		})
	}
}

func TestARefusalAsksForAProbeOnceAndEndsWithItsSuccess(t *testing.T) {
	p, _ := newPool(time.Second)
	asked := 0
	m := &Member{Name: "a", Recover: func() { asked++ }}
	p.Add(m, resource.AdmissionInService, true)
	p.Refuse(m)
	p.Refuse(m)
	if asked != 1 {
		t.Errorf("asked %d times for a probe", asked)
	}
	p.Observe(m, true, false)
	if err := p.Claim(t.Context(), &Claim{}, &holder{}, time.Now(), nil); !errors.Is(err, ErrNone) {
		t.Errorf("picked before a probe succeeded: %v", err)
	}
	p.Observe(m, true, true)
	claim(t, p)
}

func TestMembersTriedAreNotPickedAgain(t *testing.T) {
	p, m := newPool(time.Second, "a", "b")
	if c := claim(t, p, m[0]); c.Member != m[1] {
		t.Errorf("picked %s again", c.Member.Name)
	}
	err := p.Claim(t.Context(), &Claim{}, &holder{}, time.Now().Add(time.Hour), m)
	if !errors.Is(err, ErrExhausted) {
		t.Errorf("got %v, want ErrExhausted at once", err)
	}
}

func TestDrains(t *testing.T) {
	const timeout = 10 * time.Second
	cases := []struct {
		name   string
		claims int
		during func(p *Pool, m *Member, claims []*Claim)
		want   State
		cut    Cut
	}{
		{"nothing in flight", 0, nil, State{Draining: true, Ended: resource.DrainIdle}, NotCut},
		{"the last request ends", 2, func(p *Pool, _ *Member, c []*Claim) {
			p.Release(c[0], false)
			p.Release(c[1], false)
		}, State{Draining: true, InFlightAtStart: 2, Ended: resource.DrainIdle}, NotCut},
		{"one is left", 2, func(p *Pool, _ *Member, c []*Claim) { p.Release(c[0], false) },
			State{Draining: true, InFlightAtStart: 2, InFlight: 1}, NotCut},
		{"the process dies", 2, func(p *Pool, _ *Member, c []*Claim) {
			p.Release(c[0], true)
			p.Release(c[1], false)
		}, State{Draining: true, InFlightAtStart: 2, Ended: resource.DrainDead}, NotCut},
		{"its whole time", 2, func(*Pool, *Member, []*Claim) { time.Sleep(timeout - time.Nanosecond) },
			State{Draining: true, InFlightAtStart: 2, InFlight: 2}, NotCut},
		{"time is up", 2, func(*Pool, *Member, []*Claim) { time.Sleep(timeout) },
			State{Draining: true, InFlightAtStart: 2, InFlight: 2, Ended: resource.DrainTimeout}, CutDrain},
		{"time is up on a dead one", 2, func(p *Pool, _ *Member, c []*Claim) {
			p.Release(c[0], true)
			time.Sleep(timeout + time.Second)
		}, State{Draining: true, InFlightAtStart: 2, InFlight: 1, Ended: resource.DrainDead}, CutDrain},
		{"out while busy", 1, func(p *Pool, m *Member, _ []*Claim) { p.Admit(m, resource.AdmissionOut) },
			State{Draining: true, InFlightAtStart: 1, InFlight: 1, Ended: resource.DrainTimeout}, CutForced},
		{"taken back", 1, func(p *Pool, m *Member, _ []*Claim) {
			p.Admit(m, resource.AdmissionInService)
			time.Sleep(timeout + time.Second)
		}, State{InFlight: 1}, NotCut},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := 0
				p := New(&Queue{}, timeout, func() { told++ })
				m := &Member{Name: "a"}
				p.Add(m, resource.AdmissionInService, true)
				var claims []*Claim
				for range c.claims {
					claims = append(claims, claim(t, p))
				}
				p.Admit(m, resource.AdmissionDraining)
				if c.during != nil {
					c.during(p, m, claims)
				}
				synctest.Wait()
				got := p.State(m)
				if got.Up = false; got != c.want {
					t.Errorf("got %+v, want %+v", got, c.want)
				}
				if (told == 1) != (c.want.Ended != "") {
					t.Errorf("told %d times of the end", told)
				}
				if c.claims > 0 {
					last := claims[len(claims)-1]
					if cut := p.WasCut(last); cut != c.cut {
						t.Errorf("cut is %d, want %d", cut, c.cut)
					}
					if last.holder.(*holder).interrupted.Load() != (c.cut != NotCut) {
						t.Error("a holder is interrupted exactly when its claim is cut")
					}
				}
			})
		})
	}
}

func TestRequestsWaitForAMemberAndNotForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &Queue{}
		q.SetMax(1)
		p := New(q, time.Second, nil)
		m := &Member{Name: "a"}
		p.Add(m, resource.AdmissionInService, false)

		first := make(chan error, 1)
		go func() {
			first <- p.Claim(t.Context(), &Claim{}, &holder{}, time.Now().Add(5*time.Second), nil)
		}()
		synctest.Wait()
		if err := p.Claim(t.Context(), &Claim{}, &holder{}, time.Now().Add(5*time.Second), nil); !errors.Is(err, ErrFull) {
			t.Errorf("one too many: %v", err)
		}
		time.Sleep(time.Second)
		p.Observe(m, true, true)
		if err := <-first; err != nil {
			t.Errorf("the one that waited: %v", err)
		}
		p.Observe(m, false, false)

		began := time.Now()
		err := p.Claim(t.Context(), &Claim{}, &holder{}, began.Add(5*time.Second), nil)
		if !errors.Is(err, ErrNone) || time.Since(began) != 5*time.Second {
			t.Errorf("got %v after %s", err, time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := p.Claim(ctx, &Claim{}, &holder{}, time.Now().Add(time.Hour), nil); !errors.Is(err, context.Canceled) {
			t.Errorf("a client that left: %v", err)
		}
		time.AfterFunc(time.Second, p.Close)
		if err := p.Claim(t.Context(), &Claim{}, &holder{}, time.Now().Add(time.Hour), nil); !errors.Is(err, ErrClosed) {
			t.Errorf("a pool that was closed: %v", err)
		}
		if q.Waiting() != 0 {
			t.Errorf("%d still wait", q.Waiting())
		}
	})
}

// The promise that everything stands on: from the moment a drain reports Idle,
// no request holds the member, however claims and drains race.
func TestNoRequestReachesAMemberWhoseDrainIsIdle(t *testing.T) {
	p, members := newPool(time.Minute, "a", "b", "c", "d")
	var idle [4]atomic.Bool
	index := map[*Member]int{}
	for i, m := range members {
		index[m] = i
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				var c Claim
				if p.Claim(ctx, &c, &holder{}, time.Now().Add(time.Second), nil) != nil {
					continue
				}
				if idle[index[c.Member]].Load() {
					t.Errorf("%s was given a request after its drain was idle", c.Member.Name)
				}
				p.Release(&c, false)
			}
		})
	}
	for round := range 4000 {
		m := members[round%len(members)]
		i := index[m]
		p.Admit(m, resource.AdmissionDraining)
		for p.State(m).Ended == "" {
			// its requests end by themselves
		}
		idle[i].Store(true)
		if got := p.State(m).InFlight; got != 0 {
			t.Fatalf("%d in flight after Idle", got)
		}
		idle[i].Store(false)
		p.Admit(m, resource.AdmissionInService)
	}
	stop()
	wg.Wait()
}

// A model of the pool: whatever is done in whatever order, the counts are right,
// the least busy of those that may be picked is picked, and a drain is Idle
// exactly when its requests have ended.
func TestPoolAgainstAModel(t *testing.T) {
	type model struct {
		member    *Member
		admission resource.Admission
		healthy   bool
		refused   bool
		inFlight  int
	}
	rapid.Check(t, func(t *rapid.T) {
		p := New(&Queue{}, time.Hour, nil)
		var members []*model
		var claims []*Claim
		defer func() {
			for _, m := range members {
				p.Remove(m.member)
			}
		}()
		some := func(t *rapid.T) *model {
			if len(members) == 0 {
				t.Skip("no member")
			}
			return rapid.SampledFrom(members).Draw(t, "member")
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				m := &model{member: &Member{Name: fmt.Sprint(len(members))}, admission: resource.AdmissionInService, healthy: rapid.Bool().Draw(t, "healthy")}
				p.Add(m.member, m.admission, m.healthy)
				members = append(members, m)
			},
			"admit": func(t *rapid.T) {
				m := some(t)
				m.admission = rapid.SampledFrom([]resource.Admission{
					resource.AdmissionInService, resource.AdmissionDraining, resource.AdmissionOut,
				}).Draw(t, "admission")
				p.Admit(m.member, m.admission)
			},
			"observe": func(t *rapid.T) {
				m := some(t)
				m.healthy = rapid.Bool().Draw(t, "healthy")
				m.refused = m.refused && !m.healthy
				p.Observe(m.member, m.healthy, m.healthy)
			},
			"refuse": func(t *rapid.T) {
				m := some(t)
				m.refused = true
				p.Refuse(m.member)
			},
			"claim": func(t *rapid.T) {
				least := -1
				for _, m := range members {
					if m.admission == resource.AdmissionInService && m.healthy && !m.refused && (least < 0 || m.inFlight < least) {
						least = m.inFlight
					}
				}
				c := &Claim{}
				err := p.Claim(context.Background(), c, &holder{}, time.Now(), nil)
				if (err == nil) != (least >= 0) {
					t.Fatalf("claim: %v, least busy: %d", err, least)
				}
				if err != nil {
					return
				}
				for _, m := range members {
					if m.member == c.Member {
						if m.inFlight != least {
							t.Fatalf("picked one with %d, the least busy has %d", m.inFlight, least)
						}
						m.inFlight++
					}
				}
				claims = append(claims, c)
			},
			"release": func(t *rapid.T) {
				if len(claims) == 0 {
					t.Skip("no claim")
				}
				i := rapid.IntRange(0, len(claims)-1).Draw(t, "claim")
				p.Release(claims[i], false)
				for _, m := range members {
					if m.member == claims[i].Member {
						m.inFlight--
					}
				}
				claims = append(claims[:i], claims[i+1:]...)
			},
			"": func(t *rapid.T) {
				total := 0
				for _, m := range members {
					s := p.State(m.member)
					total += m.inFlight
					if s.InFlight != m.inFlight {
						t.Fatalf("%d in flight, the model has %d", s.InFlight, m.inFlight)
					}
					if m.admission == resource.AdmissionDraining && (s.Ended == "") != (m.inFlight > 0) && s.Ended != resource.DrainTimeout {
						t.Fatalf("drain is %q with %d in flight", s.Ended, m.inFlight)
					}
				}
				if p.Busy() != (total > 0) {
					t.Fatalf("busy is %v with %d in flight", p.Busy(), total)
				}
			},
		})
	})
}
