// Package app builds a whole Drover: it makes every room's part, connects them
// through the small interfaces that they declare, starts them in order and
// stops them in the reverse order. New is inert, Start serves, Stop unwinds a
// stack of named cleanups; two Apps can run in one process on ports of their own.
//
// The control process never owns what must outlive it: instances and the gateway
// run in sessions of their own and are adopted by the next Start. Stop ends the
// control process alone; Down ends them too. A component that returns while the
// App runs ends the App: Wait returns its error, and nothing goes on half alive.
package app
