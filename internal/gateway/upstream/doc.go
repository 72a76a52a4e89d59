// Package upstream holds the gateway's connections to one process behind it: an
// instance's, or what answers at a fixed address.
//
// A connection is either in use by one request or idle. Idle ones are reused
// last-in-first-out and closed after IdleTime, when the process turns out to be
// gone, and when the instance is out of service, so that a drained process holds
// no connection of ours.
//
// Connections of HTTP/2 carry many requests at once, and are few: another is made
// when those that there are take no more streams. Each has a goroutine that reads
// it. Sweep, about once a second, sees whether they live; they end when they were
// idle for IdleTime, and with their last streams once the instance is out of service.
//
// A process that ends is one Backend's end: its successor
// at the same address is another Backend.
package upstream
