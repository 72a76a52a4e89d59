package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/droverhq/drover/internal/resource"
)

// Who waits for a lock that its holder removes gets one that others meet, too.
func TestHoldAfterTheLockWasRemoved(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		first, err := Hold(dir)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			synctest.Wait() // the other one sleeps between two looks
			if err := errors.Join(os.Remove(filepath.Join(dir, LockFile)), first()); err != nil {
				t.Error(err)
			}
		}()
		second, err := Hold(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer second()
		if third, err := Hold(dir); !resource.IsCode(err, resource.CodeInUse) {
			t.Errorf("two hold the folder: %v", err)
			if err == nil {
				third()
			}
		}
	})
}
