package process

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/droverhq/drover/internal/compute"
)

func sample() record {
	return record{
		identity: identity{Boot: "b", PID: 7, Start: 42}, StartedAt: time.Unix(1, 2).UTC(),
		Spec: compute.Spec{Name: "web_1", Set: "web", Port: 20000},
	}
}

func TestRecordComesBack(t *testing.T) {
	dir := t.TempDir()
	if r, err := readRecord(dir); r != nil || err != nil {
		t.Fatalf("before any: %v, %v", r, err)
	}
	want := sample()
	if err := writeRecord(dir, want); err != nil {
		t.Fatal(err)
	}
	got, err := readRecord(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, *got, cmp.AllowUnexported(record{})); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Stat(filepath.Join(dir, recordFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v, %v", info.Mode(), err)
	}
}

// Every torn, flipped or lengthened record is noticed.
func TestRecordDamage(t *testing.T) {
	whole, err := encodeRecord(sample())
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if _, err := decodeRecord(whole[:n]); !errors.Is(err, errDamaged) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
		flipped := append([]byte(nil), whole...)
		flipped[n] ^= 1
		if _, err := decodeRecord(flipped); !errors.Is(err, errDamaged) {
			t.Fatalf("byte %d flipped: %v", n, err)
		}
	}
	if _, err := decodeRecord(append(whole, 'x')); !errors.Is(err, errDamaged) {
		t.Fatal("lengthened: not noticed")
	}
}

func FuzzDecodeRecord(f *testing.F) {
	whole, err := encodeRecord(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := decodeRecord(text); err != nil && !errors.Is(err, errDamaged) {
			t.Errorf("an error of another kind: %v", err)
		}
	})
}

func TestIdentity(t *testing.T) {
	me, err := myself(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !me.alive(me.Boot) {
		t.Error("this process does not live")
	}
	for name, other := range map[string]identity{
		"another boot":                   {Boot: "other", PID: me.PID, Start: me.Start},
		"the pid of a process before it": {Boot: me.Boot, PID: me.PID, Start: me.Start - 1},
		"nobody":                         {Boot: me.Boot},
	} {
		if other.alive(me.Boot) {
			t.Errorf("%s is taken for alive", name)
		}
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	held, err := tryLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryLock(dir); !errors.Is(err, errBusy) {
		t.Fatalf("taken twice: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, lockFile)); err != nil {
		t.Fatal(err)
	}
	held.Close()
	again, err := takeLock(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}
