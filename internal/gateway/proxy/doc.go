// Package proxy is the data path: it takes requests from clients and has them
// answered by members of a pool.
//
// A Front is one listening socket. It speaks HTTP/1.1 on connections of its own,
// in front (package h1 reads and writes the messages) and behind (package
// upstream), or HTTP/2 (package h2), on either side. Whether there is TLS in front is seen when a connection begins (hands
// are shaken in its own goroutine, in the time that a head may take) and nowhere else. Each of a client's connections has one goroutine, which reads a head,
// has it answered and passes the answer on; a body that is streamed to a backend
// has one more. A connection that begins as one of HTTP/2 does is package h2's from
// then on: its goroutine reads it, and each of its streams has one of its own. What a request needs of the documents is in a Config, which is
// replaced whole; a request uses the one that was there when it began.
//
// An exchange, which is one request over all its attempts, sees whom it answers
// through the interface client, and knows nothing of how that one speaks. Nor does it
// know how the process is spoken to, which it reaches by a link: one has a connection
// for itself (link1), the other a stream of one that is shared (link2).
//
// # What waiting costs
//
// A request costs no allocation, timer or context. What it works with is lent to
// its connection from the first byte of its head to the last of its answer: a
// connection that waits for its next request holds no buffer, and after a second no
// goroutine either. A sweep over all connections, ten times a second, ends those
// whose time is over, and sees whether the clients of requests that run for longer
// than that are still there.
//
// A client that is slow with its head holds little more than what it sent of it.
//
// # One request
//
// The route is chosen, a member is claimed (or waited for), the request is
// written, the answer is read and passed on as it comes. When that breaks, the
// pure function judge says whether the request goes to another member or is
// answered, and how it is counted:
//
//   - Not a byte can have reached a process: another member, whatever the method.
//   - The client has seen nothing, the method is idempotent and the body can be
//     sent again: another member. Each one at most once when the process died;
//     one other at most when it lives, as long as such requests are few.
//   - Otherwise it is never sent again: 502, or the client's connection is cut.
//
// What h1 refuses of a request is answered by its status and the end of the
// connection; what it refuses of an answer is a 502, and never passed on.
//
// A non-idempotent request is only sent on a pooled connection that was used
// within the last second and that the other end has not closed.
//
// # Leaving
//
// A front whose socket another process accepts on gives its connections to that one:
// those that wait for a request at once, the others when theirs is answered. What was
// read of the next request keeps a connection here until that is answered, too. Where
// the other process is gone, or takes none, answers say `Connection: close`.
//
// A crash of this process loses what is in flight and nothing else.
package proxy
