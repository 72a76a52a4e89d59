package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/gateway/proxy"
	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
)

// serving is a gateway in this process, and its control process's calls to it.
type serving struct {
	t     *testing.T
	dir   string
	calls *wire.Conn
	epoch int64
}

func newServing(t *testing.T) *serving {
	t.Helper()
	g := &serving{t: t, dir: t.TempDir()}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := Run(ctx, Options{RunDir: g.dir, Logger: slog.New(slog.DiscardHandler)}); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	for g.calls == nil {
		g.calls, _ = wire.Dial(t.Context(), wire.Serving.SocketPath(g.dir))
	}
	t.Cleanup(func() { g.calls.Close() })
	var a wire.Attached
	g.mustCall(wire.OpAttach, struct{}{}, &a)
	g.epoch = a.Epoch
	return g
}

func (g *serving) mustCall(op string, in, out any, files ...*os.File) {
	g.t.Helper()
	if _, err := g.calls.Call(g.t.Context(), op, in, out, files...); err != nil {
		g.t.Fatal(err)
	}
}

// heir stands by and answers Succeed by fail. Its process has ended by then.
func (g *serving) heir(fail func(c *net.UnixConn) error) {
	g.t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: wire.Standby.SocketPath(g.dir), Net: "unix"})
	if err != nil {
		g.t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	var serving sync.WaitGroup
	serving.Go(func() {
		c, err := l.AcceptUnix()
		if err != nil {
			return
		}
		defer c.Close()
		_ = wire.NewConn(c).Serve(func(op string, _ json.RawMessage, files []*os.File) (any, []*os.File, error) {
			closeFiles(files)
			if op == wire.OpHello {
				return wire.Hello{Identity: wire.Identity{PID: noProcess}}, nil, nil
			}
			return nil, nil, fail(c)
		})
	})
	g.t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
}

// noProcess is no process's number.
const noProcess = 1<<22 + 1

// A successor that dies, or refuses, at the decisive call leaves the gateway as it
// was: found by the same name, with the lock, and accepting.
func TestAGatewayThatNobodySucceedsServesOn(t *testing.T) {
	for name, fail := range map[string]func(g *serving, c *net.UnixConn) error{
		"it refuses": func(*serving, *net.UnixConn) error { return errors.New("no") },
		"it dies":    func(_ *serving, c *net.UnixConn) error { return c.Close() },
		"it dies after it took the name": func(g *serving, c *net.UnixConn) error {
			_ = wire.Serving.Record(g.dir, wire.Identity{PID: noProcess})
			return errors.Join(os.Rename(wire.Standby.SocketPath(g.dir), wire.Serving.SocketPath(g.dir)), c.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newServing(t)
			socket, file := socketFile(t, "one")
			w := wire.Snapshot{Generation: 1, Sockets: []wire.Socket{socket}, Balancers: []wire.Balancer{over("hello", "one")}}
			w.Balancers[0].Spec.QueueTimeout = resource.Duration(time.Millisecond)
			g.mustCall(wire.OpApply, wire.Apply{Epoch: g.epoch, Snapshot: w, New: []wire.Socket{socket}}, &wire.Applied{}, file)
			g.heir(func(c *net.UnixConn) error { return fail(g, c) })
			idle, err := net.Dial("tcp", socket.Address)
			if err != nil {
				t.Fatal(err)
			}
			defer idle.Close()
			leave := wire.Leave{Epoch: g.epoch, Generation: 1, Rehearsed: 1}
			if _, err := g.calls.Call(t.Context(), wire.OpLeave, leave, &struct{}{}); err == nil {
				t.Fatal("it says that it was succeeded")
			}
			g.wantServing()
			later, err := net.Dial("tcp", socket.Address)
			if err != nil {
				t.Fatal(err)
			}
			defer later.Close()
			for _, c := range []net.Conn{idle, later} {
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Read(make([]byte, 100)); err != nil {
					t.Errorf("a connection is not served: %v", err)
				}
			}
		})
	}
}

// wantServing checks that the gateway is found as the one that serves, and alone.
func (g *serving) wantServing() {
	g.t.Helper()
	self, err := wire.Self()
	if err != nil {
		g.t.Fatal(err)
	}
	if id, ok := wire.Serving.Recorded(g.dir); !ok || id != self {
		g.t.Errorf("%+v is recorded", id)
	}
	if id, ok := wire.Leaving.Recorded(g.dir); ok {
		g.t.Errorf("%+v is said to leave", id)
	}
	c, err := wire.Dial(g.t.Context(), wire.Serving.SocketPath(g.dir))
	if err != nil {
		g.t.Fatal(err)
	}
	defer c.Close()
	var h wire.Hello
	if _, err := c.Call(g.t.Context(), wire.OpHello, struct{}{}, &h); err != nil || h.Identity != self {
		g.t.Errorf("%+v answers, %v", h, err)
	}
	ctx, cancel := context.WithTimeout(g.t.Context(), 20*time.Millisecond)
	defer cancel()
	if lock, err := takeLock(ctx, wire.LockPath(g.dir)); err == nil {
		lock.Close()
		g.t.Error("its lock is free")
	}
	if _, err := os.Lstat(filepath.Join(g.dir, "leaving.sock")); err == nil {
		g.t.Error("the name of one that leaves is there")
	}
}

// A gateway that leaves has written all its lines when it ends.
func TestAGatewayThatLeavesTellsItsLastRequest(t *testing.T) {
	s := newTestState(t)
	socket, file := socketFile(t, "one")
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := over("hello", "one")
	b.Spec.QueueTimeout = resource.Duration(time.Millisecond)
	b.Spec.AccessLog = &resource.AccessLog{File: filepath.Join(dir, "access.log"), MaxBytes: 1 << 20, Keep: 1}
	w := wire.Snapshot{Generation: 1, Sockets: []wire.Socket{socket}, Balancers: []wire.Balancer{b}}
	if done, err := s.apply(wire.Apply{Snapshot: w, New: []wire.Socket{socket}}, []*os.File{file}); err != nil || len(done.Errors) > 0 {
		t.Fatal(done, err)
	}
	c, err := net.Dial("tcp", socket.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := s.pause(1); err != nil {
		t.Fatal(err)
	}
	s.leave()
	if _, err := io.WriteString(c, "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Fatal(err)
	}
	soon := make(chan struct{})
	close(soon)
	s.finishLeaving(func(string, []proxy.IdleConn) error { return errors.New("nobody takes any") }, soon)
	s.finish()
	if text, err := os.ReadFile(b.Spec.AccessLog.File); err != nil || !strings.Contains(string(text), `"path":"/last"`) {
		t.Errorf("the log has %q, %v", text, err)
	}
}
