package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
)

type backendAddresses struct {
	Addresses []string `json:"addresses"`
}

// MarshalJSON gives the set's name, or the addresses.
func (b Backend) MarshalJSON() ([]byte, error) {
	if b.Set != "" {
		return json.Marshal(b.Set)
	}
	return json.Marshal(backendAddresses{b.Addresses})
}

func (b *Backend) UnmarshalJSON(raw []byte) error {
	if bytes.Equal(raw, []byte("null")) {
		return nil
	}
	if len(raw) > 0 && raw[0] == '"' {
		*b = Backend{}
		return json.Unmarshal(raw, &b.Set)
	}
	var a backendAddresses
	if err := json.Unmarshal(raw, &a); err != nil {
		return fmt.Errorf("decode a backend: %w", err)
	}
	*b = Backend{Addresses: a.Addresses}
	return nil
}
