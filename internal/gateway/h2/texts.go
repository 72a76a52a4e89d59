package h2

const (
	maxTexts = 64
	maxText  = 64
)

// texts keeps strings that are made of the same bytes again and again: names of
// fields and most of their values. The zero value is empty.
type texts struct{ known map[string]string }

func (t *texts) of(b []byte) string {
	if s, ok := t.known[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(s) > maxText {
		return s
	}
	switch {
	case t.known == nil:
		t.known = make(map[string]string)
	case len(t.known) >= maxTexts:
		clear(t.known)
	}
	t.known[s] = s
	return s
}
