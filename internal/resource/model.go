package resource

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
)

// Key is the same for two models that make the same instance: what the image is
// called does not count, its content does. Keys are stored, so this never changes.
func (m Model) Key() string {
	same := struct {
		Digest    string            `json:"digest"`
		Command   []string          `json:"command,omitempty"`
		Env       map[string]string `json:"env,omitempty"`
		Root      string            `json:"root,omitempty"`
		Resources *Resources        `json:"resources,omitempty"`
	}{m.Digest, m.Command, m.Env, m.Root, m.Resources}
	if m.Resources != nil && *m.Resources == (Resources{}) {
		same.Resources = nil
	}
	// Only a NaN could fail here, and JSON, where the numbers come from, has none.
	text, _ := json.Marshal(same)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// ModelOf is the model that a spec asks for with the image that its reference was resolved to.
func ModelOf(s ScaleSetSpec, image, digest, version string) Model {
	return Model{
		Image: image, Digest: digest, Version: version,
		Command: append([]string(nil), s.Command...), Env: maps.Clone(s.Env), Root: s.Root, Resources: s.Resources,
	}
}
