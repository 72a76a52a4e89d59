package process

import (
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseStat(t *testing.T) {
	line := func(name, state, threads string) string {
		return "42 (" + name + ") " + state + " 1 42 40 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 " + threads + " 0 4242 1 2 3"
	}
	cases := []struct {
		name, text string
		want       proc
		ok         bool
	}{
		{"plain", line("sh", "S", "1"), proc{pid: 42, parent: 1, session: 40, start: 4242}, true},
		{"a name made to mislead", line("x) R 9 9 9 (\n", "S", "1"), proc{pid: 42, parent: 1, session: 40, start: 4242}, true},
		{"zombie", line("sh", "Z", "1"), proc{pid: 42, parent: 1, session: 40, start: 4242, dead: true}, true},
		{"dead", line("sh", "X", "1"), proc{pid: 42, parent: 1, session: 40, start: 4242, dead: true}, true},
		{"first thread ended, others run", line("sh", "Z", "3"), proc{pid: 42, parent: 1, session: 40, start: 4242}, true},
		{"cut off", "42 (sh) S 1 2", proc{}, false},
		{"no name", "42 sh S 1 42 40", proc{}, false},
		{"empty", "", proc{}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseStat([]byte(c.text))
			if (err == nil) != c.ok || c.ok && got != c.want {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func FuzzParseStat(f *testing.F) {
	if own, err := os.ReadFile("/proc/self/stat"); err == nil {
		f.Add(own)
	}
	f.Add([]byte("1 (a) b) Z 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0 5"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parseStat(text)
		if err != nil && p != (proc{}) {
			t.Errorf("an error with %+v", p)
		}
	})
}

func TestParseListeners(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:4E20 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 111 1 0
   1: 00000000:4E20 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 222 1 0
   2: 0100007F:4E20 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 333 1 0
   3: 0500000A:4E21 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 444 1 0
   4: 00000000000000000000000000000000:4E22 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 555 1
   5: 0000000000000000FFFF00000100007F:4E23 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 666 1
   6: garbage
`
	want := []listener{
		{20000, 3, "111"}, {20000, 2, "222"}, {20001, 0, "444"}, {20002, 1, "555"}, {20003, 3, "666"},
	}
	if diff := cmp.Diff(want, parseListeners(table), cmp.AllowUnexported(listener{})); diff != "" {
		t.Error(diff)
	}
}

func TestParseCgroupMounts(t *testing.T) {
	const text = `24 1 0:22 / /sys/fs/cgroup ro - tmpfs tmpfs ro
25 24 0:23 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
26 24 0:24 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
27 24 0:25 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
broken line
`
	want := []cgroupMount{
		{path: "/sys/fs/cgroup/cpu,cpuacct", controllers: []string{"rw", "cpu", "cpuacct"}},
		{path: "/sys/fs/cgroup/pids", controllers: []string{"rw", "pids"}},
		{path: "/sys/fs/cgroup/unified", unified: true},
	}
	got := parseCgroupMounts(text)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(cgroupMount{})); diff != "" {
		t.Error(diff)
	}
	if !slices.Contains(got[0].usable("x"), "cpu") || slices.Contains(got[1].usable("x"), "memory") {
		t.Errorf("usable: %v, %v", got[0].usable("x"), got[1].usable("x"))
	}
}
