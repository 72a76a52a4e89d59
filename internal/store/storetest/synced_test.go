package storetest

import (
	"strings"
	"testing"
)

func TestCheckTrace(t *testing.T) {
	const (
		write  = `7 pwrite64(9</d/documents.db-wal>, ""..., 4096, 56) = 4096`
		sync   = `7 fdatasync(9</d/documents.db-wal>) = 0`
		failed = `7 fdatasync(9</d/documents.db-wal>) = -1 EIO (Input/output error)`
		begin  = `7 fdatasync(9</d/documents.db-wal> <unfinished ...>`
		end    = `7 <... fdatasync resumed>) = 0`
		ack    = `8 write(1<pipe:[1]>, "ack 1 1\n", 8) = 8`
		other  = `7 fsync(5</d/documents.db>) = 0`
	)
	for _, test := range []struct {
		name  string
		trace []string
		ok    bool
	}{
		{"synced", []string{write, sync, ack}, true},
		{"synced by another thread's call", []string{write, begin, end, ack}, true},
		{"the next write has begun", []string{write, sync, ack, write, sync, ack}, true},
		{"not written", []string{sync, ack}, false},
		{"not written again", []string{write, sync, ack, ack}, false},
		{"not synced", []string{write, ack}, false},
		{"not synced yet", []string{write, begin, ack, end}, false},
		{"sync failed", []string{write, failed, ack}, false},
		{"another file synced", []string{write, other, ack}, false},
		{"written after the sync", []string{write, sync, write, ack}, false},
		{"written while the sync ran", []string{write, begin, write, end, ack}, false},
	} {
		if acks, err := checkTrace(strings.NewReader(strings.Join(test.trace, "\n"))); (err == nil) != test.ok {
			t.Errorf("%s: %d acknowledgements, %v", test.name, acks, err)
		}
	}
}
