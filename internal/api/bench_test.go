package api

import (
	"net/http"
	"testing"
)

// BenchmarkGet is what every request costs: the gate, the route, the answer.
func BenchmarkGet(b *testing.B) {
	e := openEnv(b, b.TempDir())
	defer e.store.Close()
	defer e.api.Close()
	e.put(instance("hello", 1))
	b.ReportAllocs()
	for b.Loop() {
		if w, _ := e.serve(http.MethodGet, "/api/v1/instances/hello_1", ownerToken); w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}

// BenchmarkList1000 is one page for `get instances`.
func BenchmarkList1000(b *testing.B) {
	e := openEnv(b, b.TempDir())
	defer e.store.Close()
	defer e.api.Close()
	for i := range 1000 {
		e.put(instance("hello", i))
	}
	b.ReportAllocs()
	for b.Loop() {
		if w, _ := e.serve(http.MethodGet, "/api/v1/instances", ownerToken); w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}
