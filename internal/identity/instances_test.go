package identity

import (
	"log/slog"
	"testing"
)

// A secret is one instance's, the same after a restart, and another one's elsewhere.
func TestInstanceSecrets(t *testing.T) {
	dir := t.TempDir()
	load := func(dir string) InstanceSecrets {
		s, err := LoadInstanceSecrets(NewKeys(dir, slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := load(dir)
	if a := s.Of("web_1"); len(a) != 40 || a == s.Of("web_11") || a == load(t.TempDir()).Of("web_1") {
		t.Errorf("%q is not the instance's own", a)
	}
	if load(dir).Of("web_1") != s.Of("web_1") || load(dir).Hash("web_1") != s.Hash("web_1") {
		t.Error("another secret after a restart")
	}
}
