package store_test

import (
	"context"
	"os"
	"testing"

	"github.com/droverhq/drover/internal/store"
	"github.com/droverhq/drover/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m, open)) }

func open(ctx context.Context, dir string) (*store.Store, error) {
	return store.Open(ctx, store.Options{Dir: dir})
}

func TestStore(t *testing.T)       { storetest.Run(t, open) }
func TestStoreOnDisk(t *testing.T) { storetest.RunOnDisk(t, open) }
