package proxy

import (
	"context"
	"net/netip"
	"sync"
)

// gate counts connections, in all and by client.
type gate struct {
	mu        sync.Mutex
	max       int // 0: no limit
	perClient int
	open      int
	byClient  map[netip.Addr]int
	refused   uint64
	room      chan struct{} // closed when there is room; nil while nobody waits
}

func newGate() *gate { return &gate{byClient: map[netip.Addr]int{}} }

func (g *gate) limit(all, perClient int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.max, g.perClient = all, perClient
	g.wake()
}

// wait waits for room: connections over the limit stay in the kernel's queue.
func (g *gate) wait(ctx context.Context) {
	for ctx.Err() == nil {
		g.mu.Lock()
		if g.max == 0 || g.open < g.max {
			g.mu.Unlock()
			return
		}
		if g.room == nil {
			g.room = make(chan struct{})
		}
		room := g.room
		g.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
		}
	}
}

// enter counts a connection in, unless its client has too many.
func (g *gate) enter(client netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.perClient > 0 && g.byClient[client] >= g.perClient {
		g.refused++
		return false
	}
	g.open++
	g.byClient[client]++
	return true
}

func (g *gate) leave(client netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if g.byClient[client]--; g.byClient[client] == 0 {
		delete(g.byClient, client)
	}
	g.wake()
}

func (g *gate) wake() {
	if g.room != nil && (g.max == 0 || g.open < g.max) {
		close(g.room)
		g.room = nil
	}
}

func (g *gate) now() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

func (g *gate) counts() (open int, refused uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open, g.refused
}
