// Package gateway is the data plane: a process of its own through which all
// traffic goes. The control process starts it (or adopts the one that runs) and
// gives it whole snapshots over a private unix socket; package control is that
// end, package wire what they say.
//
// # What it promises
//
//   - It serves on without a control process, by the last snapshot.
//   - A snapshot is applied whole for each load balancer: one that cannot be
//     applied keeps its previous state and is reported, the others are confirmed.
//   - A drain counts every request that holds the instance (package pool), and is
//     reported to whoever asks.
//   - It serves the instances' metadata endpoint by the snapshot, through servers
//     that whoever runs it makes, and keeps approvals of scheduled events on disk
//     until a snapshot shows that they were acted on.
//   - An access log (package accesslog) never holds up a request, and is no reason to
//     refuse a snapshot.
//   - Where colours have weights, each gets its share of any number of requests to
//     within one, and a colour that cannot serve hinders none.
//   - It holds a listening socket as long as the snapshot names it, and has closed
//     it when it confirms a snapshot that does not.
//
// # Its life
//
// Started, it takes the lock in the run folder (so that there is one that serves),
// opens the private socket, records who it is and waits for a snapshot. Told to stop,
// or given SIGTERM, it stops accepting, finishes what is in flight and ends. So it
// does when who started it is gone before anybody has attached to it, for then
// nobody knows of it. It runs in a session of its own: a terminal's Ctrl-C does
// not reach it.
//
// # Succession
//
// One gateway is replaced by another without a gap. The other is started to stand by:
// without the lock, at a private socket of its own. It rehearses the snapshots that it
// is given, and ends with who started it. Told to leave, the one that serves
//
//  1. stops accepting and approving,
//  2. records itself, and names its socket, as the one that leaves,
//  3. calls the one that stands by with what it knows, and its lock,
//  4. which takes the name of the private socket, and serves: the one step that counts,
//  5. gives it idle connections for as long as there are any, and finishes the others
//     by the snapshots that it is still given,
//  6. tells it what it counted, and ends.
//
// Before 4, the death of either, and whatever goes wrong, is undone by 1 backwards
// (the successor is killed first, as it might be about to serve), or is a crash of the
// one that serves. After 4 they are two: the one that leaves takes a successor's death
// as the end of giving, and says `Connection: close` from then on; the one that
// serves takes the other's as the loss of its counts, and begins another incarnation.
// The control process may die at any point: see package control.
//
// # A crash
//
// kill -9 at any point loses the requests in flight and the counters, and no
// more (an approval is in its file before it is answered): the control process holds
// a duplicate of every listening socket, so new connections wait in the kernel until the next gateway has them. What a drain
// had counted is lost with the requests it counted. The control process may die
// at any point without being noticed here; its successor attaches and is given
// the sockets.
package gateway
