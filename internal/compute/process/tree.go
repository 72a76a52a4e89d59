package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tree is an instance's process with all that it started.
type tree struct {
	name   string // the instance
	marker string // of its environment: names this instance of this data folder
	leader identity
	uid    int // 0: Drover's own
	groups *cgroups
}

// members are the processes of the tree that run. A cgroup, where the instance
// has one, knows them all, and no program gets out of it.
func (t tree) members() ([]proc, error) {
	if pids, ok, err := t.groups.members(t.name); err != nil || ok {
		if err != nil {
			return nil, err
		}
		var list []proc
		if !slices.Contains(pids, t.leader.PID) && t.leader.PID != 0 {
			pids = append(pids, t.leader.PID)
		}
		for _, pid := range pids {
			p, err := readProc(pid)
			stranger := pid == t.leader.PID && p.start != t.leader.Start
			if err == nil && !p.dead && !stranger {
				list = append(list, p)
			}
		}
		return list, nil
	}
	all, err := listProcs()
	if err != nil {
		return nil, err
	}
	return t.find(all), nil
}

// find picks the tree's processes where no cgroup keeps count: those of the
// leader's session, those of the instance's own user, those that carry its mark
// in their environment (a daemon leaves the session, its environment stays), and
// what these started.
func (t tree) find(all []proc) []proc {
	in := map[int]bool{}
	var list []proc
	add := func(p proc) {
		if !p.dead && !in[p.pid] {
			in[p.pid] = true
			list = append(list, p)
		}
	}
	for _, p := range all {
		if t.sameUser(p) || t.sameSession(p) || t.marked(p) {
			add(p)
		}
	}
	for grown := -1; grown != len(list); {
		grown = len(list)
		for _, p := range all {
			if in[p.parent] {
				add(p)
			}
		}
	}
	return list
}

// sameUser: another Drover on this machine, with a data folder of its own, may
// have given the same user to one of its instances. Its processes are let be.
func (t tree) sameUser(p proc) bool {
	if t.uid == 0 || p.uid != t.uid {
		return false
	}
	env := environ(p.pid)
	for range 3 { // during an exec it has none for a moment
		if len(env) > 0 {
			break
		}
		time.Sleep(time.Millisecond)
		env = environ(p.pid)
	}
	for v := range bytes.SplitSeq(env, []byte{0}) {
		folder, ok := strings.CutPrefix(string(v), dataVariable)
		if ok && string(v) != t.marker && isDataOf(folder, t.uid) {
			return false
		}
	}
	return true
}

// sameSession: a session's number stays taken while it has a member. Once the
// last is gone it may come again as a stranger's: that one is of another user
// or, as for this user's own, older than the leader or not started by it.
func (t tree) sameSession(p proc) bool {
	if t.leader.PID == 0 || p.session != t.leader.PID || p.start < t.leader.Start {
		return false
	}
	if p.pid == t.leader.PID {
		return p.start == t.leader.Start
	}
	now, err := readProc(t.leader.PID)
	return err != nil || now.start == t.leader.Start
}

func (t tree) marked(p proc) bool {
	env := environ(p.pid)
	return len(env) > 0 && slices.ContainsFunc(bytes.Split(env, []byte{0}), func(v []byte) bool {
		return string(v) == t.marker
	})
}

// end ends the tree: SIGTERM to all of it, so that a wrapper's child gets it too,
// and SIGKILL to what is left after timeout. It returns when nothing runs.
func (t tree) end(ctx context.Context, timeout time.Duration) error {
	if timeout > 0 {
		gone, err := t.signalUntil(ctx, syscall.SIGTERM, timeout, true)
		if gone || err != nil {
			return err
		}
	}
	t.groups.noForks(t.name)
	gone, err := t.signalUntil(ctx, syscall.SIGKILL, killTimeout, false)
	if gone || err != nil {
		return err
	}
	left, err := t.members()
	return errors.Join(err, fmt.Errorf("stop %s: SIGKILL did not end %s within %s", t.name, pidList(left), killTimeout))
}

// killTimeout is how long a process may take to die of SIGKILL: one that waits
// for a disk or a network file system only dies when that answers.
const killTimeout = 10 * time.Second

// signalUntil signals the tree, once or at every look, until nothing is left or the time is up.
func (t tree) signalUntil(ctx context.Context, sig syscall.Signal, limit time.Duration, once bool) (gone bool, err error) {
	began := time.Now()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	var list []proc
	for first := true; ; first = false {
		// Finding the tree may mean to look at every process of the machine. While
		// one that was found is there, waiting for it is enough.
		if !once || !anyAlive(list) {
			if list, err = t.members(); err != nil || len(list) == 0 {
				return err == nil, err
			}
		}
		if first || !once {
			if err := signalAll(list, sig); err != nil {
				return false, fmt.Errorf("stop %s: %w", t.name, err)
			}
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-deadline.C:
			return false, nil
		case <-time.After(pauseAfter(time.Since(began))):
		}
	}
}

func anyAlive(list []proc) bool {
	return slices.ContainsFunc(list, func(p proc) bool {
		now, err := readProc(p.pid)
		return err == nil && now.start == p.start && !now.dead
	})
}

// pauseAfter spaces the looks at what doesn't end ever more widely: thousands may
// be waited for at once.
func pauseAfter(waited time.Duration) time.Duration {
	return min(max(time.Millisecond, waited/16), time.Second)
}

func signalAll(list []proc, sig syscall.Signal) error {
	var errs []error
	for _, p := range list {
		if err := send(p, sig); err != nil {
			errs = append(errs, fmt.Errorf("signal process %d: %w", p.pid, err))
		}
	}
	return errors.Join(errs...)
}

func ignoreGone(err error) error {
	if errors.Is(err, unix.ESRCH) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func pidList(list []proc) string {
	text := make([]string, len(list))
	for i, p := range list {
		text[i] = fmt.Sprint(p.pid)
	}
	return "process " + strings.Join(text, ", ")
}
