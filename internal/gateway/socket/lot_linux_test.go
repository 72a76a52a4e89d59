package socket

import (
	"sync"
	"testing"
	"time"
)

func TestLot(t *testing.T) {
	l, err := NewLot()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(l.Run)
	defer wg.Wait()
	defer l.Close()
	c, other := pair(t)
	quiet, _ := pair(t)
	woken, never := make(chan string, 10), make(chan string, 10)
	park := func(c *Conn, to chan string) {
		t.Helper()
		if err := l.Park(c, func() { to <- "woken" }); err != nil {
			t.Fatal(err)
		}
	}
	wait := func(what string) {
		t.Helper()
		select {
		case <-woken:
		case <-time.After(10 * time.Second):
			t.Fatalf("not woken by %s", what)
		}
	}
	park(quiet, never)
	for range 3 {
		park(c, woken)
		say(t, other, "x")
		wait("a byte")
		fill(t, c, "x")
		c.Drop()
	}
	say(t, other, "x")
	park(c, woken)
	wait("a byte that was there before")
	fill(t, c, "x")
	park(c, woken)
	l.Wake(c)
	wait("hand")
	l.Wake(c) // it is not parked
	park(c, woken)
	other.Close()
	wait("the end")
	if len(woken)+len(never) > 0 {
		t.Error("one was woken twice, or for nothing")
	}
	c.TCP.Close()
	if err := l.Park(c, func() {}); err == nil {
		t.Error("a closed one is parked")
	}
}
