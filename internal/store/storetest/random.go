package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store/sqlite"
	"pgregory.net/rapid"
)

// randomDamage: whatever bytes are hurt, wherever, the store opens, never serves
// what was not written, reports what may be missing, and reuses no revision.
func (s suite) randomDamage(t *testing.T) {
	sc := s.stage(t)
	names := slices.Sorted(maps.Keys(sc.files))
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		wounds := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) wound { return drawWound(rt, names) }), 1, 5).Draw(rt, "wounds")
		sc.set(t, dir, func(files map[string][]byte) {
			for _, w := range wounds {
				w.inflict(files)
			}
		})
		st, err := s.open(t.Context(), dir)
		if errors.Is(err, sqlite.ErrTooNew) {
			return // the number of the tables' version was hit
		}
		if err != nil {
			rt.Fatalf("it does not open: %v", err)
		}
		defer st.Close()
		got, r := served(t, st), st.Recovery()
		want := stateAt(newest(got))
		if r != nil {
			rt.Log(r)
			want = stateAt(r.MissingAfter)
			maps.DeleteFunc(want, func(name, _ string) bool { return lost(r.Rows, name) })
		}
		if !maps.Equal(got, want) {
			rt.Errorf("it serves %d things, %d of them right; %d were wanted", len(got), same(got, want), len(want))
		}
		if st.Revision() < sc.last || (st.Revision() == sc.last && !maps.Equal(got, stateAt(sc.last))) {
			rt.Errorf("it goes on from revision %d, the last one given out was %d", st.Revision(), sc.last)
		}
	})
}

// wound is damage to one file.
type wound struct {
	File   string
	How    string
	At     float64 // in the file, 0 to 1
	Length int
	With   byte
}

func drawWound(rt *rapid.T, files []string) wound {
	return wound{
		File:   rapid.SampledFrom(files).Draw(rt, "file"),
		How:    rapid.SampledFrom([]string{"flip", "fill", "cut", "drop", "grow", "delete"}).Draw(rt, "how"),
		At:     rapid.Float64Range(0, 1).Draw(rt, "at"),
		Length: rapid.SampledFrom([]int{1, 8, 100, 4096, 30000}).Draw(rt, "length"),
		With:   rapid.Byte().Draw(rt, "with"),
	}
}

func (w wound) inflict(files map[string][]byte) {
	content, ok := files[w.File]
	if !ok || len(content) == 0 {
		return
	}
	from := min(int(w.At*float64(len(content))), len(content)-1)
	to := min(from+w.Length, len(content))
	switch w.How {
	case "flip":
		content[from] ^= w.With | 1
	case "fill":
		for i := from; i < to; i++ {
			content[i] = w.With
		}
	case "cut":
		content = content[:from]
	case "drop":
		content = slices.Delete(content, from, to)
	case "grow":
		content = slices.Insert(content, from, slices.Repeat([]byte{w.With}, w.Length)...)
	case "delete":
		delete(files, w.File)
		return
	}
	files[w.File] = content
}

// newest is the revision of the newest write among what is served.
func newest(got map[string]string) (revision int64) {
	for name, spec := range got {
		var value struct{ Value string }
		var i, generation int
		if strings.HasPrefix(name, "port ") || json.Unmarshal([]byte(spec), &value) != nil {
			continue
		}
		fmt.Sscanf(name, "i%d", &i)
		fmt.Sscanf(value.Value, "%dx", &generation)
		revision = max(revision, int64(generation*perScene+i+1))
	}
	return revision
}

// lost reports whether one of the rows set aside is the named thing.
func lost(rows []string, name string) bool {
	port, booking := strings.CutPrefix(name, "port ")
	return slices.ContainsFunc(rows, func(row string) bool {
		if booking {
			return strings.HasPrefix(row, "the booking of number "+port+" ")
		}
		return strings.HasPrefix(row, resource.KindInstance+" "+name+" ")
	})
}
