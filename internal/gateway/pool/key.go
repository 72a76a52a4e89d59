package pool

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
)

// Key is what a client knows a member by: enough to be sent there again, while it
// tells nothing of the member, and nobody can make one.
type Key struct {
	backend [3]byte  // the same for all members of a backend, as long as it stays the same
	member  [15]byte // its own: nobody guesses 120 bits
}

// keyText is the length of a key as text.
const keyText = (len(Key{}.backend) + len(Key{}.member)) * 8 / 6

// KeyOf makes the key of a member of one of a balancer's backends. Whoever has the
// same secret makes the same one.
func KeyOf(secret []byte, balancer, backend, member string) (k Key) {
	if len(secret) == 0 {
		return k
	}
	copy(k.backend[:], digest(secret, "backend", balancer, backend))
	copy(k.member[:], digest(secret, "member", balancer, member))
	return k
}

// digest ends each part by what no name has.
func digest(secret []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, secret)
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return h.Sum(nil)
}

// SameBackend says whether two keys are of members of the same backend.
func (k Key) SameBackend(other Key) bool { return k.backend == other.backend }

// AppendText appends the key as characters that a cookie may have.
func (k Key) AppendText(dst []byte) []byte {
	dst = base64.RawURLEncoding.AppendEncode(dst, k.backend[:]) // three bytes fill four characters
	return base64.RawURLEncoding.AppendEncode(dst, k.member[:])
}

// ParseKey reads what AppendText wrote.
func ParseKey(text []byte) (k Key, ok bool) {
	if len(text) != keyText {
		return k, false
	}
	var raw [keyText * 6 / 8]byte
	if _, err := base64.RawURLEncoding.Decode(raw[:], text); err != nil {
		return k, false
	}
	copy(k.member[:], raw[copy(k.backend[:], raw[:]):])
	return k, true
}

// ClaimKnown claims the first member that one of the keys is of, if that may be picked
// now; it never waits. A colour without a share keeps nobody, and what is claimed so is not
// part of any share: weights divide the requests of those who come without a key.
func (p *Pool) ClaimKnown(c *Claim, holder Holder, keys []Key, tried []*Member) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	for _, k := range keys {
		m := p.known[k.member]
		if m != nil && m.listed && p.groups.share(m.group) && !contains(tried, m) {
			p.give(m, c, holder)
			return true
		}
	}
	return false
}

// share says whether a group gets requests as long as others can.
func (g *groups) share(x *group) bool { return x.weight > 0 || len(g.list) == 1 }
