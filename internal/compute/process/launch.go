package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/droverhq/drover/internal/compute"
	"github.com/droverhq/drover/internal/compute/sandbox"
	"golang.org/x/sys/unix"
)

// Descriptors that a launcher is started with, after the usual three.
const (
	planFD   = 3 // the plan, as JSON, to its end: it holds secrets, so it is no argument
	lockFD   = 4 // the instance's lock, already held
	statusFD = 5 // closed by exec; a refusal, as JSON, otherwise
)

// plan is all that a launcher needs to know.
type plan struct {
	Dir     string       // the instance's folder
	Record  record       // to be completed with who the launcher is
	Groups  []string     // the cgroup files to write itself into
	Sandbox sandbox.Spec // what to become
}

// refusal is why a launcher could not become the program.
type refusal struct {
	Reason string `json:"reason"`
	Error  string `json:"error"`
}

// LaunchMain is the hidden sub-command that a Driver starts for each instance.
// It returns only when it could not become the program.
func LaunchMain(args []string) int { return Launch(args, nil) }

// Launch is LaunchMain that tells of its steps.
func Launch(_ []string, onStep func(Step)) int {
	if onStep == nil {
		onStep = func(Step) {}
	}
	p, err := readPlan()
	if err != nil {
		fmt.Fprintln(os.Stderr, "drover launch is for drover's own use:", err)
		return 2
	}
	onStep(StepLaunched)
	reason, err := p.become(onStep)
	text, _ := json.Marshal(refusal{reason, err.Error()})
	// Nobody listens when Drover has died meanwhile: then this end counts as a
	// crash, and the next start tells the next Drover why.
	_, _ = unix.Write(statusFD, text)
	fmt.Fprintln(os.Stderr, "drover: cannot start:", err)
	return 1
}

func readPlan() (*plan, error) {
	// Before anything can go wrong: the program must not inherit any of them.
	for fd := planFD; fd <= statusFD; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return nil, fmt.Errorf("descriptor %d: %w", fd, err)
		}
	}
	f := os.NewFile(planFD, "plan")
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	// A Drover that died while it wrote leaves a plan that doesn't end.
	var p plan
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	return &p, nil
}

// become turns this process into the program. From the moment that the record
// is on disk, this process is the instance: a crash before it leaves nothing to
// adopt, one after it a process that the record names truly, dead or alive.
func (p *plan) become(onStep func(Step)) (reason string, err error) {
	for _, file := range p.Groups {
		// "0" is the writer; joining first, so that nothing it starts escapes.
		if err := writeFile(file, "0"); err != nil {
			return compute.ReasonStartFailed, fmt.Errorf("join %s: %w", file, err)
		}
	}
	if p.Record.identity, err = myself(os.Getpid()); err != nil {
		return compute.ReasonStartFailed, err
	}
	p.Record.StartedAt = time.Now().UTC()
	syscall.Umask(0o077)
	if err := writeRecord(p.Dir, p.Record); err != nil {
		return reasonOf(err), err
	}
	onStep(StepRecorded)
	err = sandbox.Exec(p.Sandbox)
	return reasonOf(err), err
}

// writeFile writes to a file that must be there already, as those of a cgroup are.
func writeFile(name, value string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// launcherArgs are the arguments that make this binary a launcher; the name
// of the instance is only for who looks at the list of processes meanwhile.
func launcherArgs(name string, port int) []string {
	return []string{"drover", "launch", name, strconv.Itoa(port)}
}
