// Package computetest is the contract of a compute.Driver, as tests: Run is
// called by every driver's own tests, as root and as an ordinary user.
//
// The programs that it starts are real. Drover dies for real too: a start is
// made by another process, which is killed at each of its steps, under an init
// that never waits for a child, and a new driver must then find or make exactly
// one process. The driver's test binary plays these parts: its TestMain calls
// Main, and handles the role "control" with the driver under test.
package computetest
