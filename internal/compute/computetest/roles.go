package computetest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/droverhq/drover/internal/compute"
)

// Control is what a Drover in another process is told: to start one instance,
// and at which of its own steps to die.
type Control struct {
	Data   string // the data folder
	Images string // the folder of Images
	Spec   compute.Spec
	DieAt  string // empty: when the start has returned
}

// Step is to be called at each step of the driver.
func (c Control) Step(step string) {
	if step == c.DieAt {
		die(os.Getpid())
	}
}

// Start makes the start and dies, whatever comes of it.
func (c Control) Start(d compute.Driver) int {
	if _, err := d.Start(context.Background(), c.Spec); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	die(os.Getpid())
	return 1
}

func die(pid int) {
	_ = syscall.Kill(pid, syscall.SIGKILL)
	if pid == os.Getpid() {
		select {}
	}
}

// launcherOrder is the file in the data folder that tells a launcher what to do:
// a step, and whether to die there too or to go on without the Drover that sent it.
const launcherOrder = "launcher-order"

// LauncherStep is to be called at each step of a driver's launcher. At the
// ordered one it kills the Drover that sent it, and perhaps itself.
func LauncherStep(step string) {
	// DATA_DIR is <data>/instances/<set>/<name>/data.
	order := filepath.Join(os.Getenv("DATA_DIR"), "../../../..", launcherOrder)
	text, err := os.ReadFile(order)
	at, what, _ := strings.Cut(string(text), " ")
	if err != nil || at != step {
		return
	}
	_ = os.Remove(order) // for this launcher alone
	parent := os.Getppid()
	die(parent)
	for os.Getppid() == parent {
		time.Sleep(time.Millisecond)
	}
	if what == "die" {
		die(os.Getpid())
	}
}

// Main plays the part that the arguments name; ok: they did name one.
func Main(args []string) (code int, ok bool) {
	switch args[0] {
	case "init":
		return initMain(args[1:]), true
	case "serve":
		return serve(os.Getenv("PORT")), true
	case "daemon":
		return daemon(args[1:]), true
	case "linger":
		time.Sleep(time.Hour)
	}
	return 0, false
}

// initMain is a pid 1 that never waits: orphans become its children and stay
// zombies for good. It starts one program and ends with its standard input.
func initMain(args []string) int {
	if err := adoptOrphans(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	os.Stdout.Close() // so that its end shows that the program's is closed
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// serve listens on the port and answers every connection with a line.
func serve(port string) int {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return 1
		}
		fmt.Fprintln(conn, os.Getpid())
		conn.Close()
	}
}

// daemon does what daemons do: it closes every descriptor, forks twice, leaves
// the session, and ends while its grandchild lives on.
func daemon(args []string) int {
	next, file := []string{os.Args[0], "daemon", "again"}, "child"
	if len(args) > 0 {
		next, file = []string{os.Args[0], "linger"}, "grandchild"
	}
	p, err := os.StartProcess(os.Args[0], next, &os.ProcAttr{
		Env: os.Environ(), Files: []*os.File{nil, nil, nil}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	text, _ := json.Marshal(p.Pid)
	if err := os.WriteFile(filepath.Join(os.Getenv("DATA_DIR"), file), text, 0o600); err != nil {
		return 1
	}
	return 0
}
