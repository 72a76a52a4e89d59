package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// childEnv holds the task of a child; where it is not set, this is no child.
const childEnv = "DROVER_STORETEST_CHILD"

// task is what a child does: it writes and says on its standard output what was
// acknowledged, one Go-quoted name a line, in one system call each.
type task struct {
	Dir     string
	Writers int
	First   int // number of the first write
	Last    int
	// Unsynced writes like a store that forgets to sync, to show that a test notices.
	Unsynced bool
}

// Main runs the tests, or, in a child, what the test that started it wants.
func Main(m *testing.M, open Open) int {
	text, child := os.LookupEnv(childEnv)
	if !child {
		return m.Run()
	}
	var job task
	err := json.Unmarshal([]byte(text), &job)
	if err == nil {
		err = job.run(open)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		return 1
	}
	return 0
}

// command is a child that does the task.
func (j task) command(ctx context.Context, prefix ...string) (*exec.Cmd, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := append(prefix, self)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	return cmd, nil
}

func (j task) run(open Open) error {
	ctx := context.Background()
	if j.Unsynced {
		return j.writeUnsynced(ctx)
	}
	st, err := open(ctx, j.Dir)
	if err != nil {
		return err
	}
	defer st.Close()
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = st.Run(ctx) }) // it returns nil when ctx ends
	defer running.Wait()
	defer cancel()
	numbers := make(chan int)
	failed := make(chan error, j.Writers)
	for range j.Writers {
		go func() { failed <- write(ctx, st, numbers) }()
	}
	for n := j.First; n <= j.Last; n++ {
		select {
		case numbers <- n:
		case err := <-failed:
			return err
		}
	}
	close(numbers)
	for range j.Writers {
		if err := <-failed; err != nil {
			return err
		}
	}
	return nil
}

// write writes a document for each number and acknowledges it.
func write(ctx context.Context, st *store.Store, numbers <-chan int) error {
	for n := range numbers {
		d, err := put(ctx, st, numbered(n))
		if err != nil {
			return err
		}
		acknowledge(n, d.Revision)
	}
	return nil
}

func numbered(n int) resource.Document {
	return document("Numbered", fmt.Sprintf("n%06d", n), "", fmt.Sprint("value ", n))
}

// acknowledge says that a write is done. A write to a pipe of a killed process is
// either there whole or not at all.
func acknowledge(n int, revision int64) {
	if _, err := syscall.Write(1, fmt.Appendf(nil, "ack %d %d\n", n, revision)); err != nil {
		panic(err) // the parent is gone
	}
}
