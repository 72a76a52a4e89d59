// Package proxy is the data path: it takes requests from clients and has them
// answered by members of a pool.
//
// A Front is one listening socket. It serves HTTP/1.1 with net/http's server and
// speaks to backends on connections of its own (package upstream), in the
// goroutine of the request. What a request needs of the documents is in a Config,
// which is replaced whole; a request uses the one that was there when it began.
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
//     one other at most when it lives.
//   - Otherwise it is never sent again: 502, or the client's connection is cut.
//
// A non-idempotent request is only sent on a pooled connection that was used
// within the last second and that the other end has not closed.
//
// A crash of this process loses what is in flight and nothing else.
package proxy
