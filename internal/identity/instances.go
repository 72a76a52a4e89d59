package identity

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// instanceKey is the name of the key that instances' secrets come from.
const instanceKey = "instances"

// InstanceSecrets are what opens the metadata endpoint to each instance. They are
// derived from one key and an instance's name, which is never used again: nothing
// of them has to be stored with the instance, and they are the same after a restart.
type InstanceSecrets struct{ key []byte }

// LoadInstanceSecrets makes the key on first use.
func LoadInstanceSecrets(k *Keys) (InstanceSecrets, error) {
	key, err := k.LoadOrCreate(instanceKey, func() ([]byte, error) {
		key := make([]byte, sha256.Size)
		_, err := rand.Read(key)
		return key, err
	})
	if err == nil && len(key) != sha256.Size {
		err = fmt.Errorf("the key has %d bytes instead of %d", len(key), sha256.Size)
	}
	if err != nil {
		return InstanceSecrets{}, fmt.Errorf("the instances' secrets: %w", err)
	}
	return InstanceSecrets{key}, nil
}

// Of is an instance's secret: 160 bits that only it and this process know.
func (s InstanceSecrets) Of(instance string) string {
	m := hmac.New(sha256.New, s.key)
	m.Write([]byte(instance))
	return hex.EncodeToString(m.Sum(nil)[:20])
}

// Hash is what a gateway knows an instance's secret by.
func (s InstanceSecrets) Hash(instance string) [sha256.Size]byte {
	return sha256.Sum256([]byte(s.Of(instance)))
}
