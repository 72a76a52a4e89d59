// Package wire is what the control process and the gateway say to each other
// over the private unix socket in <data>/run.
//
// A message is a length, a number of files and JSON; the files (listening
// sockets) travel beside it by SCM_RIGHTS. A call is one message each way, one
// at a time on a connection. Hello, Attach, Stop and, from protocol 3 on, Leave
// and what gateways say to each other mean the same in every version of Drover: a
// control process can always take over the listeners of a gateway of another version
// and replace it. The rest is only spoken when Protocol is the same.
//
// Of two gateways, the one that leaves calls the one that succeeds it, over the
// socket at which that one stood by: Succeed once, Take for as long as there are
// idle connections to give, which travel as listening sockets do, and Inherit when
// it has finished. The end of that connection without Inherit says that it died.
//
// Each Attach begins a new epoch and ends the elder one: of two control
// processes only the one that came last is listened to.
package wire
