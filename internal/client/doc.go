// Package client is the Go client of Drover's HTTP API: the only way the
// command line talks to a server.
//
// It finds the server by itself: the one told (Options.Server), else the unix
// socket of the data folder. It waits up to five seconds for a server that is
// just starting, so that `drover up & drover apply …` works.
//
// What it promises:
//   - The admin token that it finds in the data folder is sent to that folder's
//     socket and nowhere else. No token is sent in clear text to another
//     machine, and no redirect is followed.
//   - A request that may have reached the server is sent again only when it is
//     a GET. Everything else fails with what is known.
//   - Answers have a size limit, waits have a time limit; streams (logs,
//     watches, backups) end with their context.
//   - A refusal by the server is a *resource.Error with the server's code. A
//     server that cannot be reached is one with resource.CodeUnavailable that
//     says which address was tried.
//
// A Watch survives restarts of the server: it reconnects after the last change
// it has seen, and lists again when the server has forgotten that far back,
// turning the difference into changes. Nothing is seen twice. Logs go on at the
// byte where they broke off.
//
// Nothing here is stored. A crash of the process that uses a client loses
// nothing but the answer to a request in flight.
package client
