package resource

import (
	"crypto/sha256"
	"fmt"
)

// InstanceID is a GUID that no other instance ever has: names are used once, and
// the time tells those of a set that was deleted and made again.
func InstanceID(in Instance) string { return GUID("instance", in) }

// GUID names something of an instance: the same for the same, also after a crash.
// It is a UUID of version 8, by a rule of our own.
func GUID(what string, in Instance) string {
	b := sha256.Sum256(fmt.Appendf(nil, "%s %s %d", what, in.Name, in.Created.UnixNano()))
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
