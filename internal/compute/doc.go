// Package compute makes Instance documents true: it gives each instance its
// disks, port and user, starts its process, restarts it when it crashes, removes
// it, and reports what it finds. How that is done on one kind of ground is a
// Driver's; package process is the first.
//
// # States
//
// An instance is Pending until it is first looked at, Starting while its disks
// are made and its launcher runs, and Running while its process is there. A
// process that ended by itself makes it BackingOff, a start that failed makes it
// Failed, until NextStart: 250 ms after the first, twice as long after each
// further one, a minute at most; the row of crashes begins anew once it has been
// Healthy for a minute. A program that ends while another process has its port is
// started on another one, the first time at once. Stopping is on the way out, or to be
// started anew: from another model, with a new OS disk (Reimage), or as it is (Restart).
// The last two are counts, of what is wanted in the document and of what was done in
// the driver's record: what runs was started after as many as that says.
//
// Health and Admission are two facts. Health is written here alone, from the
// set's health check (health.go); Admission is fleet's, and nothing here reads it.
//
// # How it goes on
//
// Each look at an instance reads its document, inspects what is there, decides
// by a pure function (decide.go), writes the status if that changed, and acts.
// No progress is kept elsewhere, so a crash costs nothing but the time:
//
//   - A port is booked, nothing started: the same holder is given the same port.
//   - Started, not reported: the process is found by its record and reported
//     with the restarts that the record carries.
//   - Ended, not reported: the record names a process that isn't there and the
//     document still has its pid, so the end is counted, once.
//   - Removed, not unbooked: Goal is still Delete; removing nothing succeeds.
//
// At the start everything that the driver finds is booked before anything new
// is. What the store doesn't know, because an older snapshot had to be served,
// gets its document back from the driver's record with the condition Recovered,
// and keeps running.
//
// # Time
//
// Decisions use a clock that doesn't jump while this process lives, and the age
// of processes by the machine's own. Times that were stored by another life and
// now lie too far ahead, because the clock was set back, are cut to what the
// schedule allows.
package compute
