// Package gate lets connections in: as many as a balancer's limits allow, in all
// and by client. Those over the limit of all stay in the kernel's queue; those
// over their client's are turned away.
package gate

import (
	"context"
	"net/netip"
	"sync"
)

// Gate counts connections.
type Gate struct {
	mu        sync.Mutex
	max       int // 0: no limit
	perClient int
	open      int
	byClient  map[netip.Addr]int
	refused   uint64
	room      chan struct{} // closed when there is room; nil while nobody waits
}

// New makes a gate without limits.
func New() *Gate { return &Gate{byClient: map[netip.Addr]int{}} }

// Limit sets how many may be open; 0: no limit.
func (g *Gate) Limit(all, perClient int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.max, g.perClient = all, perClient
	g.wake()
}

// Counts are how many are open, and how many were turned away for their client's number.
func (g *Gate) Counts() (open int, refused uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open, g.refused
}

// wait waits for room.
func (g *Gate) wait(ctx context.Context) {
	for ctx.Err() == nil {
		room := g.noRoom()
		if room == nil {
			return
		}
		select {
		case <-room:
		case <-ctx.Done():
		}
	}
}

// noRoom is nil when there is room.
func (g *Gate) noRoom() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.max == 0 || g.open < g.max {
		return nil
	}
	if g.room == nil {
		g.room = make(chan struct{})
	}
	return g.room
}

// Admit counts in a connection that was let in before, by another gate, and
// returns what is to be called when it is over.
func (g *Gate) Admit(client netip.Addr) (left func()) { return g.enter(client, true) }

// enter counts a connection in, unless its client has too many: then it returns nil.
func (g *Gate) enter(client netip.Addr, surely bool) (left func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !surely && g.perClient > 0 && g.byClient[client] >= g.perClient {
		g.refused++
		return nil
	}
	g.open++
	g.byClient[client]++
	return func() { g.leave(client) }
}

func (g *Gate) leave(client netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if g.byClient[client]--; g.byClient[client] == 0 {
		delete(g.byClient, client)
	}
	g.wake()
}

func (g *Gate) wake() {
	if g.room != nil && (g.max == 0 || g.open < g.max) {
		close(g.room)
		g.room = nil
	}
}
