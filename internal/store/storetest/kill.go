package storetest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/store"
)

// kill: a child is killed in the middle of 10,000 writes, again and again over
// the same folder. All that it had acknowledged is there, and revisions grow.
func (s suite) kill(t *testing.T) {
	const rounds, writes = 5, 10_000
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	acked := map[int]int64{} // number: revision
	for round := range rounds {
		j := task{Dir: dir, Writers: 16, First: round * writes, Last: (round+1)*writes - 1}
		got := j.killAfter(t, random.IntN(writes))
		t.Logf("round %d: killed after %d were acknowledged", round, len(got))
		last := int64(0)
		for _, revision := range acked {
			last = max(last, revision)
		}
		for n, revision := range got {
			if acked[n] = revision; revision <= last {
				t.Errorf("write %d was given revision %d, but %d had been given out before the kill", n, revision, last)
			}
		}
		s.verifyAcknowledged(t, dir, acked)
	}
}

// killAfter runs the task, kills it after so many acknowledgements, and returns all that it gave.
func (j task) killAfter(t *testing.T, acks int) map[int]int64 {
	t.Helper()
	cmd, err := j.command(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	got := map[int]int64{}
	lines := bufio.NewReader(out)
	for {
		if len(got) == acks {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var n int
		var revision int64
		if _, err := fmt.Sscanf(line, "ack %d %d", &n, &revision); err != nil {
			t.Fatalf("acknowledgement %q: %v", line, err)
		}
		got[n] = revision
	}
	if exit, ok := errors.AsType[*exec.ExitError](cmd.Wait()); !ok || exit.Exited() {
		t.Fatalf("the child was not killed: %v", cmd.ProcessState)
	}
	return got
}

// verifyAcknowledged opens the store after the kill and looks for what was acknowledged.
func (s suite) verifyAcknowledged(t *testing.T, dir string, acked map[int]int64) {
	t.Helper()
	st, err := s.open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}()
	if r := st.Recovery(); r != nil {
		t.Errorf("a kill was taken for damage: %s", r)
	}
	list, err := st.List(t.Context(), "Numbered", store.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]int64{}
	for _, d := range list.Items {
		there[d.Name] = d.Revision
	}
	for n, revision := range acked {
		if got := there[numbered(n).Name]; got != revision {
			t.Errorf("write %d was acknowledged at revision %d, after the kill it is at %d", n, revision, got)
		}
	}
}

// oneProcess: a folder belongs to one process, which the error names.
func (s suite) oneProcess(t *testing.T) {
	dir := t.TempDir()
	j := task{Dir: dir, Writers: 1, Last: 1_000_000}
	cmd, err := j.command(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // it has the folder
		t.Fatal(err)
	}
	_, err = s.open(t.Context(), dir)
	if err == nil || !contains(err, fmt.Sprint(cmd.Process.Pid)) || !contains(err, dir) {
		t.Errorf("opened in a second process: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
	s.start(t, dir)
}
