package store_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// instance is a document of the size that the store holds most of.
func instance(set string, n, version int) resource.Document {
	return resource.Document{
		Meta:   resource.Meta{Kind: resource.KindInstance, Name: resource.InstanceName(set, n), Labels: map[string]string{"tier": "front"}},
		Spec:   []byte(`{}`),
		Status: fmt.Appendf(nil, `{"set":%q,"colour":"blue","model":{"image":"hello:1.0.0","digest":"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","version":"1.0.0","env":{"GREETING":"hi"}},"version":"1.0.0","health":"Healthy","admission":"InService","address":"127.0.0.1:20004","placement":{"node":"local"},"pid":%d,"restarts":0,"goal":"Run","phase":"Running"}`, set, version),
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, writers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := start(b, b.TempDir())
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for w := range writers {
				wg.Go(func() {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						if _, err := s.Update(b.Context(), func(tx *store.Tx) error {
							_, err := tx.Put(instance("web", w, int(n)))
							return err
						}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
		})
	}
}

func BenchmarkList(b *testing.B) {
	s := start(b, b.TempDir())
	if _, err := s.Update(b.Context(), func(tx *store.Tx) error {
		for n := range 10_000 {
			if _, err := tx.Put(instance("web", n, 1)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	b.Run("10000 by owner", func(b *testing.B) {
		for b.Loop() {
			if l, err := s.List(b.Context(), resource.KindInstance, store.ListOptions{Owner: "web"}); err != nil || len(l.Items) != 10_000 {
				b.Fatal(len(l.Items), err)
			}
		}
	})
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Get(b.Context(), resource.KindInstance, "web_5000"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func start(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func BenchmarkOpen(b *testing.B) {
	for _, documents := range []int{0, 10_000} {
		b.Run(fmt.Sprintf("documents=%d", documents), func(b *testing.B) {
			dir := b.TempDir()
			fill(b, start(b, dir), documents)
			for b.Loop() {
				s, err := open(b.Context(), dir)
				if err != nil {
					b.Fatal(err)
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// fill writes instances of one set and closes the store.
func fill(b *testing.B, s *store.Store, n int) {
	if _, err := s.Update(b.Context(), func(tx *store.Tx) error {
		for i := range n {
			if _, err := tx.Put(instance("web", i, 1)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
