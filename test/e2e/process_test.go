package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// process is a workload that runs from a data folder.
type process struct {
	pid      int
	instance string
}

func (p process) String() string { return fmt.Sprintf("process %d of %s", p.pid, p.instance) }

// processes finds the workloads of this server by their environment, and its
// gateway as the instance "gateway". Zombies run no more.
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

func (s *server) folders() []string {
	var names []string
	dirs, _ := filepath.Glob(filepath.Join(s.data, "instances", "*", "*"))
	for _, d := range dirs {
		names = append(names, filepath.Base(d))
	}
	return names
}

// gatewayPID is the gateway's process; it waits until there is one.
func (s *server) gatewayPID() (pid int) {
	s.t.Helper()
	s.eventually(20e9, "the gateway runs", func() (found bool, err error) {
		pid, found = s.findGateway()
		return found, nil
	})
	return pid
}

func (s *server) findGateway() (pid int, found bool) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		args := strings.Split(string(line), "\x00")
		if err == nil && len(args) > 2 && args[1] == "gateway" && args[2] == s.data {
			pid, _ = strconv.Atoi(filepath.Base(dir))
			return pid, true
		}
	}
	return 0, false
}

// nonces counts how often each request was handled, by method and nonce, over all
// instances that there are or were.
func (s *server) nonces() map[string]int {
	s.t.Helper()
	return s.readNonces("instances/*/*/data/nonces", "retired/*/nonces", "retired/*/data/nonces")
}

func (s *server) noncesOf(instance string) map[string]int {
	s.t.Helper()
	return s.readNonces("instances/*/" + instance + "/data/nonces")
}

func (s *server) readNonces(patterns ...string) map[string]int {
	s.t.Helper()
	seen := map[string]int{}
	for _, pattern := range patterns {
		files, err := filepath.Glob(filepath.Join(s.data, pattern))
		check(s.t, err)
		for _, f := range files {
			text, err := os.ReadFile(f)
			check(s.t, err)
			for _, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
				if line != "" {
					seen[line]++
				}
			}
		}
	}
	return seen
}
