package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/compute/computetest"
)

// A workload tries all it can think of to reach Drover's secrets and its sibling.
func TestIsolation(t *testing.T) {
	if !isRoot() {
		return // without root there is nothing to keep workloads of one user apart
	}
	w := computetest.NewWorld(t, subject())
	token := filepath.Join(w.Data, "admin.token")
	must(t, os.WriteFile(token, []byte("secret"), 0o600))
	must(t, os.Mkdir(filepath.Join(w.Data, "keys"), 0o700))
	victim := w.Spec()
	victim.Model.Env["SECRET"] = "of the sibling"
	v := w.Start(victim)
	must(t, os.WriteFile(w.DataFile(victim.Name, "private"), []byte("x"), 0o644))
	dir := driver(w).dir(victim.Name)

	attempts := []string{
		"cat ./run && echo x > $DATA_DIR/own && echo x > $TMPDIR/own", // its own things: this one must succeed
		"cat " + token,
		"ls " + w.Data,
		"ls " + filepath.Join(w.Data, "keys"),
		"ls " + filepath.Join(w.Data, "instances"),
		"ls " + filepath.Join(w.Data, "cache/layers"),
		"ls " + dir,
		"cat " + dir + "/data/private",
		"cat " + dir + "/record",
		"cat " + dir + "/os/run",
		"cat " + dir + "/log/output.log",
		fmt.Sprintf("cat /proc/%d/environ", v.PID),
		fmt.Sprintf("cat /proc/%d/maps", v.PID),
		fmt.Sprintf("ls /proc/%d/fd", v.PID),
		fmt.Sprintf("ls /proc/%d/cwd/", v.PID),
		fmt.Sprintf("ls /proc/%d/root/", v.PID),
		fmt.Sprintf("kill -0 %d", v.PID),
		fmt.Sprintf("kill -KILL %d", v.PID),
		fmt.Sprintf("kill -KILL -%d", v.PID),
		fmt.Sprintf("cat /proc/%d/environ", os.Getpid()),
		"echo x >> ./run", "rm -f ./run && test ! -e ./run", "touch ./new", "chmod 777 ./run", "chmod 777 .",
		"touch ../new", "echo x >> ../record", "mv ../record ../gone", "rm ../lock", "touch ../log/new", "echo x >> ../log/output.log",
		"mkdir " + w.Data + "/instances/web/web_99",
		"cat ../record",
		"mount -t tmpfs none ./", "chown 0 $DATA_DIR/starts",
		"su -c true", "sudo -n true",
		"echo 0 > /sys/fs/cgroup/pids/cgroup.procs", "echo 0 > /sys/fs/cgroup/unified/cgroup.procs", "echo 0 > /sys/fs/cgroup/cgroup.procs",
	}
	var script strings.Builder
	for i, a := range attempts {
		fmt.Fprintf(&script, "if (%s) >/dev/null 2>&1; then echo %d; fi >> $DATA_DIR/reached\n", a, i)
	}
	script.WriteString("echo done >> $DATA_DIR/reached\nexec sleep 1000")
	attacker := w.Spec("sh", script.String())
	w.Start(attacker)
	var lines []string
	w.Until("it has tried everything", func() bool {
		text, _ := os.ReadFile(w.DataFile(attacker.Name, "reached"))
		lines = strings.Fields(string(text))
		return len(lines) > 0 && lines[len(lines)-1] == "done"
	})
	if lines[0] != "0" {
		t.Error("a workload cannot use what is its own")
	}
	for _, line := range lines[1 : len(lines)-1] {
		var i int
		if _, err := fmt.Sscan(line, &i); err == nil {
			t.Errorf("a workload could: %s", attempts[i])
		}
	}
	w.OnlyOne(victim.Name)
}
