package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/store"
	"go.uber.org/goleak"
)

// TestCloseWaits: Close ends Run and watches, and leaves no goroutine behind.
func TestCloseWaits(t *testing.T) {
	before := goleak.IgnoreCurrent()
	s, err := open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Watch(t.Context(), 0, store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	ran, watched := make(chan error, 1), make(chan error, 1)
	go func() { ran <- s.Run(t.Context()) }()
	go func() { _, err := w.Next(context.Background()); watched <- err }()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("closed again: %v", err)
		}
	}
	timeout := time.After(time.Minute)
	for range 2 {
		select {
		case err := <-ran:
			if err != nil && !errors.Is(err, store.ErrClosed) { // whichever came first
				t.Errorf("run: %v", err)
			}
		case err := <-watched:
			if !errors.Is(err, store.ErrClosed) {
				t.Errorf("watch: %v", err)
			}
		case <-timeout:
			t.Fatal("Close left somebody waiting")
		}
	}
	goleak.VerifyNone(t, before)
}
