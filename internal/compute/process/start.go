package process

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/droverhq/drover/internal/compute"
	"github.com/droverhq/drover/internal/compute/disk"
	"github.com/droverhq/drover/internal/compute/logfile"
	"github.com/droverhq/drover/internal/compute/sandbox"
	"github.com/droverhq/drover/internal/resource"
	"golang.org/x/sys/unix"
)

const (
	// lockTimeout is how long a launcher that another Drover left behind may
	// take; what still holds the lock then hangs and is ended.
	lockTimeout = 10 * time.Second
	// launchTimeout is how long our own may take from its start to exec.
	launchTimeout = 30 * time.Second
)

// Start implements compute.Driver.
func (d *Driver) Start(ctx context.Context, spec compute.Spec) (compute.State, error) {
	dir := d.dir(spec.Name)
	if err := d.make(spec.Name, spec.UID); err != nil {
		return compute.State{Name: spec.Name}, startError(err)
	}
	d.step(StepFolder)
	lock, err := d.lock(ctx, spec.Name)
	if err != nil {
		return compute.State{Name: spec.Name}, startError(err)
	}
	defer lock.Close()
	d.step(StepLocked)
	before, err := d.clear(ctx, spec.Name, spec.UID)
	if err != nil {
		return compute.State{Name: spec.Name, Exists: true}, startError(err)
	}
	if before == nil || !before.alive(d.boot) {
		if err := d.start(ctx, dir, lock, before, spec); err != nil {
			d.noteFailure(dir, before, err)
			state, _ := d.Inspect(ctx, spec.Name)
			return state, startError(err)
		}
		d.step(StepStarted)
	}
	return d.Inspect(ctx, spec.Name)
}

// clear makes sure that nothing of an earlier process is left, unless that
// process itself runs: then its record is returned and it is let be. A record
// that can't be read names no process, so all of the tree goes.
func (d *Driver) clear(ctx context.Context, name string, uid int) (*record, error) {
	rec, err := readRecord(d.dir(name))
	if errors.Is(err, errDamaged) {
		aside, moveErr := setAside(d.dir(name), time.Now())
		if moveErr != nil {
			return nil, errors.Join(err, moveErr)
		}
		d.log.Warn("an instance's record was damaged and set aside; its processes are ended and it is started anew",
			"instance", name, "err", err, "aside", aside)
	} else if err != nil {
		return nil, err
	}
	if rec != nil && rec.alive(d.boot) {
		return rec, nil
	}
	return rec, d.tree(name, rec, uid).end(ctx, 0)
}

// start prepares the disks and runs a launcher, which takes the lock along.
func (d *Driver) start(ctx context.Context, dir string, lock *os.File, before *record, spec compute.Spec) error {
	img, err := d.disks.Prepare(ctx, disk.Spec{
		Image: spec.Model.Image, Digest: spec.Model.Digest, InstanceDir: dir, UID: spec.UID, GID: spec.UID, Root: spec.Model.Root,
		// A lost record does not say whether the reimage was done: once more does no harm.
		Replace: spec.Reimage > 0 && (before == nil || spec.Reimage > before.Spec.Reimage),
	})
	if err != nil {
		return err
	}
	d.step(StepPrepared)
	p, err := d.plan(dir, spec, img)
	if err != nil {
		return err
	}
	output, err := logfile.Open(d.logs(spec.Name))
	if err != nil {
		return err
	}
	defer output.Close()
	pid, err := d.launch(ctx, p, lock, output)
	if err != nil {
		return err
	}
	return d.confirm(dir, spec.Name, pid)
}

func (d *Driver) plan(dir string, spec compute.Spec, img disk.Disk) (*plan, error) {
	if err := sandbox.Check(img.Root); err != nil {
		return nil, &compute.StartError{Reason: compute.ReasonUnsupported, Err: err}
	}
	limits := limitsFor(spec.Model.Resources)
	groups, counted, err := d.groups.join(spec.Name, limits)
	if err != nil {
		return nil, &compute.StartError{Reason: compute.ReasonUnsupported, Err: err}
	}
	box := sandbox.Spec{
		Root: img.Root, OS: d.os(spec.Name), Data: d.disk(spec.Name), Tmp: d.tmp(spec.Name),
		WorkDir: img.WorkDir, UID: spec.UID, GID: spec.UID,
		Args: arguments(spec, img), Env: d.environment(spec, img),
	}
	if len(box.Args) == 0 {
		return nil, &compute.StartError{Reason: compute.ReasonNoProgram,
			Err: errors.New("the image has neither Entrypoint nor Cmd, and the set no command")}
	}
	if !counted {
		box.MaxProcs = uint64(*limits.PIDs)
	}
	return &plan{Dir: dir, Record: record{Spec: spec, Ignored: img.Ignored, Dropped: resource.Dropped(img.Dropped)}, Groups: groups, Sandbox: box}, nil
}

// launch starts the launcher and returns once it has become the program.
func (d *Driver) launch(ctx context.Context, p *plan, lock, output *os.File) (pid int, err error) {
	text, err := json.Marshal(p)
	if err != nil {
		return 0, fmt.Errorf("encode the launcher's plan: %w", err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	planOut, planIn, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("start the launcher: %w", err)
	}
	defer planIn.Close()
	statusOut, statusIn, err := os.Pipe()
	if err != nil {
		planOut.Close()
		return 0, fmt.Errorf("start the launcher: %w", err)
	}
	defer statusOut.Close()
	spec := p.Record.Spec
	child, err := os.StartProcess(d.program, launcherArgs(spec.Name, spec.Port), &os.ProcAttr{
		Files: []*os.File{null, output, output, planOut, lock, statusIn},
		// Marked like the program, so that a launcher that hangs is found.
		Env: []string{dataVariable + d.disk(spec.Name)},
		Sys: sandbox.Attr(p.Sandbox.Root),
	})
	planOut.Close()
	statusIn.Close()
	if err != nil {
		return 0, fmt.Errorf("start the launcher: %w", err)
	}
	pid = child.Pid
	_ = child.Release() // watch waits for it
	d.step(StepForked)
	return pid, d.hand(ctx, pid, text, planIn, statusOut)
}

// hand gives the launcher its plan and waits for its answer: the end of the
// file, by exec, or a refusal. A Drover that stops meanwhile leaves it to go on.
func (d *Driver) hand(ctx context.Context, pid int, text []byte, planIn, statusOut *os.File) error {
	late := time.Now().Add(launchTimeout)
	_, _ = planIn.SetWriteDeadline(late), statusOut.SetReadDeadline(late)
	stop := context.AfterFunc(ctx, func() {
		_, _ = planIn.SetWriteDeadline(time.Unix(1, 0)), statusOut.SetReadDeadline(time.Unix(1, 0))
	})
	defer stop()
	_, writeErr := planIn.Write(text)
	planIn.Close()
	answer, err := io.ReadAll(statusOut)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err = errors.Join(writeErr, err); err == nil && len(answer) == 0 {
		return nil
	}
	kill(pid)
	var no refusal
	if json.Unmarshal(answer, &no) == nil && no.Error != "" {
		return &compute.StartError{Reason: no.Reason, Err: errors.New(no.Error)}
	}
	return fmt.Errorf("the launcher did not start the program within %s: %w", launchTimeout, cmp.Or(err, io.ErrUnexpectedEOF))
}

// kill ends a launcher. It is our child and nobody has waited for it: its pid
// is nobody else's. One that a disk keeps from dying stays a zombie when it does,
// which counts as dead.
func kill(pid int) {
	_ = unix.Kill(pid, unix.SIGKILL)
	for late := time.Now().Add(killTimeout); time.Now().Before(late); time.Sleep(time.Millisecond) {
		if reaped, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); reaped == pid || err != nil && err != unix.EINTR {
			return
		}
	}
}

// noteFailure writes into the launcher's record that it couldn't become the
// program, so that its end is no crash of the program. Best effort: where it
// can't be written, it is one.
func (d *Driver) noteFailure(dir string, before *record, cause error) {
	rec, err := readRecord(dir)
	if err != nil || rec == nil || before != nil && rec.identity == before.identity || rec.alive(d.boot) {
		return
	}
	rec.Failure, rec.Reason = cause.Error(), reasonOf(cause)
	if err := writeRecord(dir, *rec); err != nil {
		d.log.Warn("could not note a failed start", "folder", dir, "err", err)
	}
}

// confirm checks that the launcher recorded itself before it was gone, and watches it.
func (d *Driver) confirm(dir, name string, pid int) error {
	rec, err := readRecord(dir)
	if err == nil && (rec == nil || rec.PID != pid || rec.Boot != d.boot) {
		err = errors.New("it ended before it had recorded itself")
	}
	if err != nil {
		kill(pid)
		return fmt.Errorf("the launcher: %w", err)
	}
	d.watch(name, rec.identity)
	return nil
}
