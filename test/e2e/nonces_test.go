package e2e

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// nonces counts how often each request was handled, by method and nonce, over all
// instances that there are or were.
func (s *server) nonces() map[string]int {
	s.t.Helper()
	seen := map[string]int{}
	for _, own := range s.noncesByInstance() {
		for nonce, n := range own {
			seen[nonce] += n
		}
	}
	return seen
}

func (s *server) noncesOf(instance string) map[string]int {
	s.t.Helper()
	return s.noncesByInstance()[instance]
}

// noncesByInstance looks where instances are before it looks where their data is
// retired to: what is moved meanwhile is seen, and counted once.
func (s *server) noncesByInstance() map[string]map[string]int {
	s.t.Helper()
	all := map[string]map[string]int{}
	s.readNonces(all, "instances/*/*/data/nonces")
	s.readNonces(all, "retired/*/nonces")
	return all
}

func (s *server) readNonces(all map[string]map[string]int, pattern string) {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.data, pattern))
	check(s.t, err)
	for _, file := range files {
		instance := filepath.Base(strings.TrimSuffix(filepath.Dir(file), "/data"))
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		check(s.t, err)
		own := map[string]int{}
		for line := range strings.Lines(string(text)) {
			own[strings.TrimSuffix(line, "\n")]++
		}
		if len(own) > 0 && all[instance] == nil {
			all[instance] = own
		}
	}
}
