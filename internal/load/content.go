package load

import (
	"crypto/sha256"
	"io"
	"math/rand/v2"
)

// Content is the n bytes that belong to a nonce: both ends of a transfer know what
// has to arrive, and what belongs to another transfer is seen.
func Content(nonce string, n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8(sha256.Sum256([]byte(nonce))), n)
}
