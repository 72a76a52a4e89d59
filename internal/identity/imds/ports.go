package imds

import (
	"context"
	"crypto/sha256"
	"errors"
	"net"
)

// Source knows the instances and the events that they see. Its methods are called
// concurrently, and what they return is read after they have returned: a change
// replaces a document and never writes into one.
type Source interface {
	// BySecret finds the instance whose secret has this SHA-256. A plain map will do:
	// how long the look-up takes depends on the hash, which tells nothing of a secret.
	BySecret(hash [sha256.Size]byte) (Instance, bool)
	// ByName finds an instance that Resolve has named.
	ByName(name string) (Instance, bool)
	// Document is what the instances of a scale set see, empty for a set without events.
	Document(set string) Document
	// Approve records that these events need not wait for their NotBefore. It returns
	// when that is durable or when ctx ends, and does nothing to events that are
	// approved already. It is all or none: ErrUnknownEvent, and no event is approved.
	Approve(ctx context.Context, set string, events []string) error
}

// ErrUnknownEvent is Approve's answer when an event is gone by now.
var ErrUnknownEvent = errors.New("unknown event")

// Resolve says which instance is at the other end of a connection; false: none.
// It is asked on every request, and must not block.
type Resolve func(remote net.Addr) (instance string, ok bool)
