package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a workload that runs from a data folder.
type process struct {
	pid      int
	instance string
}

func (p process) String() string { return fmt.Sprintf("process %d of %s", p.pid, p.instance) }

// processes finds the workloads of this server by their environment. Zombies,
// which have none, run no more.
func (s *server) processes() []process {
	var list []process
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		env, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil || len(env) == 0 {
			continue
		}
		var instance, data string
		for _, kv := range strings.Split(string(env), "\x00") {
			if v, ok := strings.CutPrefix(kv, "DROVER_INSTANCE="); ok {
				instance = v
			}
			if v, ok := strings.CutPrefix(kv, "DATA_DIR="); ok {
				data = v
			}
		}
		if instance != "" && strings.HasPrefix(data, s.data+"/") {
			list = append(list, process{pid, instance})
		}
	}
	return list
}

// folders are the instances that have one.
func (s *server) folders() []string { return foldersIn(filepath.Join(s.data, "instances", "*")) }

// cgroups are the instances that have one, in any hierarchy.
func (s *server) cgroups() []string {
	sum := sha256.Sum256([]byte(s.data))
	home := "drover-" + hex.EncodeToString(sum[:6])
	return append(foldersIn("/sys/fs/cgroup/"+home), foldersIn("/sys/fs/cgroup/*/"+home)...)
}

func foldersIn(parents string) (names []string) {
	paths, _ := filepath.Glob(filepath.Join(parents, "*"))
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil && info.IsDir() {
			names = append(names, info.Name())
		}
	}
	return names
}

// noLeaks holds what is on the machine against the documents: one process, folder,
// address and user an instance, one gateway, and nothing of anybody else.
func (s *server) noLeaks() {
	s.t.Helper()
	s.eventually(20*time.Second, "processes, folders and cgroups are those of the documents", func() (bool, error) {
		known := map[string]bool{}
		addresses := map[string]string{}
		for _, in := range s.instances() {
			known[in.Name] = true
			if other := addresses[in.Status.Address]; other != "" {
				return false, fmt.Errorf("%s and %s have the address %s", in.Name, other, in.Status.Address)
			}
			if in.Status.Address != "" {
				addresses[in.Status.Address] = in.Name
			}
		}
		running, err := s.running()
		if err != nil {
			return false, err
		}
		isKnown := func(name string) bool { return known[name] }
		return len(running) == len(known) && len(s.folders()) == len(known) && len(s.gateways()) == 1 &&
			all(running, isKnown) && all(s.folders(), isKnown) && all(s.cgroups(), isKnown), nil
	})
}

// running are the instances that run. It is an error when one runs twice or, as
// root, two share a user.
func (s *server) running() (list []string, err error) {
	users := map[uint32]string{}
	for _, p := range s.processes() {
		if slices.Contains(list, p.instance) {
			return nil, fmt.Errorf("%s runs twice", p.instance)
		}
		list = append(list, p.instance)
		info, err := os.Stat(fmt.Sprintf("/proc/%d", p.pid))
		if err != nil || os.Geteuid() != 0 {
			continue // it has just ended; or all are this user's
		}
		uid := info.Sys().(*syscall.Stat_t).Uid
		if other := users[uid]; other != "" || uid == 0 {
			return nil, fmt.Errorf("%s runs as user %d, as does %q", p.instance, uid, other)
		}
		users[uid] = p.instance
	}
	return list, nil
}

func all(list []string, ok func(string) bool) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !ok(s) })
}

// gatewayPID is the gateway's process; it waits until there is one.
func (s *server) gatewayPID() (pid int) {
	s.t.Helper()
	s.eventually(20*time.Second, "one gateway runs", func() (bool, error) {
		list := s.gateways()
		if len(list) == 1 {
			pid = list[0]
		}
		return pid != 0, nil
	})
	return pid
}

func (s *server) gateways() (pids []int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		args := strings.Split(string(line), "\x00")
		if err == nil && len(args) > 2 && args[1] == "gateway" && args[2] == s.data {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			pids = append(pids, pid)
		}
	}
	return pids
}

// footprint is what a gateway holds.
type footprint struct{ files, kilobytes int }

func (s *server) footprint() (f footprint) {
	s.t.Helper()
	proc := fmt.Sprintf("/proc/%d/", s.gatewayPID())
	files, err := os.ReadDir(proc + "fd")
	check(s.t, err)
	f.files = len(files)
	status, err := os.ReadFile(proc + "status")
	check(s.t, err)
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	_, err = fmt.Sscan(rest, &f.kilobytes)
	check(s.t, err)
	return f
}

// backTo waits, once the load has ended, until the gateway holds about what it held
// before: no connection of a client, few to instances, and memory for another crowd.
func (s *server) backTo(before footprint) {
	s.t.Helper()
	const moreFiles, moreKilobytes = 24, 64 << 10
	var now footprint
	s.eventually(2*time.Minute, fmt.Sprintf("the gateway holds about %+v, as before", before), func() (bool, error) {
		now = s.footprint()
		return now.files <= before.files+moreFiles && now.kilobytes <= before.kilobytes+moreKilobytes, nil
	})
	s.t.Logf("the gateway held %+v, and holds %+v", before, now)
}
