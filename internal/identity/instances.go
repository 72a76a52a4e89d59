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
	key, err := k.loadRandom(instanceKey)
	if err != nil {
		return InstanceSecrets{}, fmt.Errorf("the instances' secrets: %w", err)
	}
	return InstanceSecrets{key}, nil
}

// LoadAffinityKey is the key that gateways name instances to clients with. It is made
// on first use; with another one, every client would be given an instance anew.
func LoadAffinityKey(k *Keys) ([]byte, error) {
	key, err := k.loadRandom("affinity")
	if err != nil {
		return nil, fmt.Errorf("the key of clients' affinity: %w", err)
	}
	return key, nil
}

// loadRandom is a key of random bytes.
func (k *Keys) loadRandom(name string) ([]byte, error) {
	key, err := k.LoadOrCreate(name, func() ([]byte, error) {
		key := make([]byte, sha256.Size)
		_, err := rand.Read(key)
		return key, err
	})
	if err == nil && len(key) != sha256.Size {
		err = fmt.Errorf("the key has %d bytes instead of %d", len(key), sha256.Size)
	}
	return key, err
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
