package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"regexp"

	"github.com/droverhq/drover/internal/identity/redact"
)

// secretBytes is what makes one SHA-256 enough at rest: 256 random bits cannot be guessed, salted or not.
const secretBytes = 32

// encoding has no sign that a shell, a URL or a double click would stumble over.
var (
	encoding   = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	secretText = regexp.MustCompile(fmt.Sprintf(`^%s[a-z2-7]{%d}$`, redact.TokenPrefix, encoding.EncodedLen(secretBytes)))
)

func newSecret() string {
	var b [secretBytes]byte
	_, _ = rand.Read(b[:]) // never fails: it would end the process
	return redact.TokenPrefix + encoding.EncodeToString(b[:])
}

func wellFormed(secret string) bool { return secretText.MatchString(secret) }

// hashOf is what is kept of a secret.
func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func sameHash(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
