package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/droverhq/drover/internal/store"
)

// casInput is a read, or a write over an expected revision.
type casInput struct {
	name     string
	write    bool
	expected int64 // IfRevision
	value    string
}

type casOutput struct {
	conflict bool
	revision int64 // 0: there is none
	value    string
}

// register is one document: what a compare-and-set store of one value does. The
// revision that a write gives is the store's choice, as long as it grows.
func register() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byName := map[string][]porcupine.Operation{}
			for _, op := range history {
				name := op.Input.(casInput).name
				byName[name] = append(byName[name], op)
			}
			var parts [][]porcupine.Operation
			for _, part := range byName {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() any { return casOutput{} },
		Step: func(state, input, output any) (bool, any) {
			at, in, out := state.(casOutput), input.(casInput), output.(casOutput)
			switch {
			case !in.write:
				return out == at, at
			case out.conflict:
				return in.expected != at.revision, at
			default:
				return in.expected == at.revision && out.revision > at.revision && out.value == in.value,
					casOutput{revision: out.revision, value: out.value}
			}
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
	}
}

// linearizable: 32 goroutines read, and write over what they read, a few documents.
func (s suite) linearizable(t *testing.T) {
	st := s.start(t, t.TempDir())
	var mu sync.Mutex
	var history []porcupine.Operation
	var clients sync.WaitGroup
	start := time.Now()
	for client := range 32 {
		clients.Go(func() {
			for i := range 40 {
				name := fmt.Sprint("r", (client+i)%8)
				var seen casOutput
				for _, in := range []casInput{{name: name}, {name: name, write: true, value: fmt.Sprint(client, "/", i)}} {
					in.expected = seen.revision
					op := porcupine.Operation{ClientId: client, Input: in, Call: int64(time.Since(start))}
					out, err := in.do(t, st)
					if err != nil {
						t.Error(err)
						return
					}
					op.Output, op.Return = out, int64(time.Since(start))
					seen = out
					mu.Lock()
					history = append(history, op)
					mu.Unlock()
				}
			}
		})
	}
	clients.Wait()
	t.Logf("%d operations, %d of them conflicts", len(history), conflicts(history))
	if result := porcupine.CheckOperationsTimeout(register(), history, time.Minute); result != porcupine.Ok {
		t.Errorf("the history of %d operations is not linearizable: %s", len(history), result)
	}
}

func conflicts(history []porcupine.Operation) (n int) {
	for _, op := range history {
		if op.Output.(casOutput).conflict {
			n++
		}
	}
	return n
}

func (in casInput) do(t *testing.T, st *store.Store) (casOutput, error) {
	if !in.write {
		d, err := st.Get(t.Context(), "Register", in.name)
		if errors.Is(err, store.ErrNotFound) {
			return casOutput{}, nil
		}
		return casOutput{revision: d.Revision, value: d.Labels["value"]}, err
	}
	d := document("Register", in.name, "", "")
	d.Labels = map[string]string{"value": in.value}
	d, err := put(t.Context(), st, d, store.IfRevision(in.expected))
	if errors.Is(err, store.ErrConflict) {
		return casOutput{conflict: true}, nil
	}
	return casOutput{revision: d.Revision, value: in.value}, err
}
