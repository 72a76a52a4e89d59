// Package acme orders the certificates that load balancers ask for by names, and
// renews them.
//
// # What it promises
//
//   - A name is ordered once from an authority, however many load balancers have it,
//     once one of them listens; and again when two thirds of its time are over.
//   - An order that fails is tried again later and later, also over restarts; a change
//     of the load balancer's spec begins anew. With Let's Encrypt it first has to
//     succeed with the authority's staging, so that nobody runs into its limits.
//   - What was issued is served whatever becomes of the next order.
//   - Account keys, keys and certificates are below one folder, for the owner alone.
//
// The control process orders, and the gateway serves: it reads the files, of which
// Files has the names. To show that a name is ours, certmagic writes a challenge into
// the folder, for whoever shares that, and the gateway answers it on the listener.
//
// # States
//
// A name is not issued, issued, or due; and for the first and the last of these it
// waits for its time when the last order failed. All of it is seen from the files.
//
// # A crash
//
// Before the authority has issued: the next process orders again, which is one order
// more. Between a certificate and its key: the gateway serves the pair from before, and
// the next process sets aside what does not belong together and orders again. A lock
// that a dead process left is taken over after a few seconds.
package acme
