// Package upstream holds the gateway's connections to one process behind it: an
// instance's, or what answers at a fixed address.
//
// A connection is either in use by one request or idle. Idle ones are reused
// last-in-first-out and closed after IdleTime, when the process turns out to be
// gone, and when the instance is out of service, so that a drained process holds
// no connection of ours. A process that ends is one Backend's end: its successor
// at the same address is another Backend.
package upstream
