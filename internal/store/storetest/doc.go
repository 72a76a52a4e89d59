// Package storetest is the contract of a store. Run is what every store keeps;
// RunOnDisk is what one in a folder keeps when its process or its files are hurt.
//
// Crashes are real: the test binary starts itself again, as a child that writes
// and says on its standard output what was acknowledged, and kills it. Main must
// therefore be called by the TestMain of a package that calls RunOnDisk.
package storetest

import (
	"context"
	"testing"

	"github.com/droverhq/drover/internal/store"
)

// Open opens a store in a folder.
type Open func(ctx context.Context, dir string) (*store.Store, error)

// Run checks the contract of every store.
func Run(t *testing.T, open Open) {
	s := suite{open}
	t.Run("documents", s.documents)
	t.Run("conditions", s.conditions)
	t.Run("lists", s.lists)
	t.Run("nothing changed", s.nothingChanged)
	t.Run("failed updates", s.failedUpdates)
	t.Run("copies", s.copies)
	t.Run("bookings", s.bookings)
	t.Run("cancelled", s.cancelled)
	t.Run("linearizable", s.linearizable)
	t.Run("like a simple model", s.likeModel)
	t.Run("watch all", s.watchAll)
	t.Run("watch too slow", s.watchTooSlow)
	t.Run("watch over a restart", s.watchRestart)
	t.Run("watch and list", s.watchAndList)
	t.Run("watch a change of owner", s.watchOwner)
	t.Run("backup", s.backup)
}

// RunOnDisk checks what a store in a folder keeps through crashes and damage.
func RunOnDisk(t *testing.T, open Open) {
	s := suite{open}
	t.Run("kill -9", s.kill)
	t.Run("synced before acknowledged", s.synced)
	t.Run("one process", s.oneProcess)
	t.Run("damaged", s.damaged)
	t.Run("random damage", s.randomDamage)
}

type suite struct{ open Open }

// start opens the store and closes it when the test ends.
func (s suite) start(t testing.TB, dir string) *store.Store {
	t.Helper()
	st, err := s.open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}
