package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A folder that instances cannot reach is refused before anything is made there.
func TestFolderThatInstancesCannotReach(t *testing.T) {
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	err := makeFolders(filepath.Join(closed, "new", "data"), true)
	if err == nil || !strings.Contains(err.Error(), closed) || !strings.Contains(err.Error(), "chmod o+x") {
		t.Errorf("%v, which does not say what to do about %s", err, closed)
	}
	if left, err := os.ReadDir(closed); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
