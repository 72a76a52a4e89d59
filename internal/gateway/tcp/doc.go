// Package tcp is the data path of load balancers with `protocol: tcp`: it joins
// each connection of a client to one of its own to a member of a pool, and copies
// both ways without looking at what it copies.
//
// A Front is one listening socket, a session one client's connection. It claims a
// member (or waits for one) and connects; as long as it could not, not a byte has
// reached a process, and it goes to another. From then on it stays with that
// process: it is claimed, and holds its drain, until both directions have ended.
//
// # How a session ends
//
// When either side has finished, the other is told so (a half-close) and may go
// on. A broken connection breaks the other one. Beyond that a session ends
//
//   - when nothing was sent either way for idleTimeout, or for afterBackend once
//     the process has finished. No deadline is kept for it: each copied chunk
//     leaves a mark, and a sweeper looks at the marks.
//   - when its member's drain, or that of its listener, is at its time-out: the
//     process is told that the client has finished, what it still answers is
//     passed on for a moment, then the client gets the end of the stream.
//
// # What it costs
//
// Two goroutines; no buffer while nothing comes. What is too much for a buffer is
// spliced on Linux: it never leaves the kernel.
//
// When another process accepts on the socket, connections stay here and have the
// drain time-out: nobody can tell between which two bytes they could be given away.
//
// A crash of this process loses its connections and nothing else.
package tcp
