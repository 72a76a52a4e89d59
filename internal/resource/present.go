package resource

import "encoding/json"

// Map and List are what every document of a kind has, if only empty: {} and [] on
// the wire, never null or absent, so that a script can look into them unasked. In
// memory an empty one that was read is nil, as one that was never filled.
type (
	Map[V any]  map[string]V
	List[V any] []V
)

func (m Map[V]) MarshalJSON() ([]byte, error) {
	if m == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(map[string]V(m))
}

func (m *Map[V]) UnmarshalJSON(text []byte) error {
	var read map[string]V
	if err := json.Unmarshal(text, &read); err != nil {
		return err
	}
	if *m = read; len(read) == 0 {
		*m = nil
	}
	return nil
}

func (l List[V]) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]V(l))
}

func (l *List[V]) UnmarshalJSON(text []byte) error {
	var read []V
	if err := json.Unmarshal(text, &read); err != nil {
		return err
	}
	if *l = read; len(read) == 0 {
		*l = nil
	}
	return nil
}
