//go:build !linux

package socket

import "errors"

// Lot waits for many connections at once, where the system has a way to.
type Lot struct{}

// NewLot says that this system has none that is used.
func NewLot() (*Lot, error) { return nil, errors.ErrUnsupported }

// Park is not reached.
func (l *Lot) Park(*Conn, func()) error { return errors.ErrUnsupported }

// Wake is not reached.
func (l *Lot) Wake(*Conn) {}

// Forget is not reached.
func (l *Lot) Forget(*Conn) {}

// Run is not reached.
func (l *Lot) Run() {}

// Close is not reached.
func (l *Lot) Close() {}
