// Package server runs a real Drover for a benchmark: the binary is built, `drover
// up` gets a temporary folder and a free port, and everything is ended and
// removed at the end.
package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
)

// Server is a running `drover up`.
type Server struct {
	Client *client.Client

	dir, binary, data string
	up                *exec.Cmd
	log               *os.File
}

// Start builds drover and starts it. Stop has to follow, also after an error.
func Start(ctx context.Context) (*Server, error) {
	dir, err := os.MkdirTemp("", "drover-bench-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, binary: filepath.Join(dir, "drover"), data: filepath.Join(dir, "data")}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	// As root, instances are other users and have to pass through.
	if err := os.Chmod(s.dir, 0o711); err != nil {
		return err
	}
	if err := Build(ctx, s.binary, "github.com/droverhq/drover/cmd/drover"); err != nil {
		return err
	}
	var err error
	if s.log, err = os.Create(filepath.Join(s.dir, "log")); err != nil {
		return err
	}
	s.up = exec.Command(s.binary, "up", "--listen", "127.0.0.1:0", "--data", s.data, "--host-path", s.dir)
	s.up.Stdout, s.up.Stderr = s.log, s.log
	if err := s.up.Start(); err != nil {
		return err
	}
	if s.Client, err = client.New(client.Options{Data: s.data}); err != nil {
		return err
	}
	return Until(ctx, 20*time.Second, "the server answers", func() error {
		_, err := s.Client.List(ctx, resource.KindScaleSet, client.Filter{})
		return err
	})
}

// Build compiles a command of this module without cgo, so that it runs anywhere.
func Build(ctx context.Context, to, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", to, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// Stop ends instances, gateway and server, and removes the folder.
func (s *Server) Stop() error {
	var failed []error
	if s.Client != nil {
		s.Client.Close()
	}
	if s.up != nil && s.up.Process != nil {
		if _, err := s.Run(context.Background(), "", "down"); err != nil {
			failed = append(failed, err)
		}
		_ = s.up.Process.Kill() // down has ended it already, unless it failed
		_ = s.up.Wait()
	}
	if s.log != nil {
		s.log.Close()
	}
	if len(failed) > 0 {
		text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		failed = append(failed, fmt.Errorf("the server said:\n%s", text))
	}
	return errors.Join(append(failed, os.RemoveAll(s.dir))...)
}

// Dir is a folder for the benchmark's own files, removed by Stop.
func (s *Server) Dir() string { return s.dir }

// Run runs a drover command against the server and returns what it prints.
func (s *Server) Run(ctx context.Context, input string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.binary, append(args, "--data", s.data)...)
	cmd.Env = append(os.Environ(), "DROVER_DATA="+s.data, "DROVER_SERVER=", "DROVER_TOKEN=")
	cmd.Stdin = strings.NewReader(input)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("drover %s: %w: %s", strings.Join(args, " "), err, said.Bytes())
	}
	return out.Bytes(), nil
}

// Processes are the control process and the gateway.
func (s *Server) Processes() ([]int, error) {
	pids := []int{s.up.Process.Pid}
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		text, err := os.ReadFile(filepath.Join(folder, "cmdline"))
		if err != nil {
			continue // it has ended meanwhile
		}
		args := strings.Split(string(text), "\x00")
		if len(args) > 2 && args[0] == s.binary && args[1] == "gateway" {
			pid, err := strconv.Atoi(filepath.Base(folder))
			if err != nil {
				return nil, err
			}
			pids = append(pids, pid)
		}
	}
	if len(pids) != 2 {
		return nil, fmt.Errorf("found processes %v, want the control process and one gateway", pids)
	}
	return pids, nil
}

// CPU is what processes have used so far, from /proc.
func CPU(pids ...int) (time.Duration, error) {
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux
	var all time.Duration
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		_, rest, _ := strings.Cut(string(text), ") ") // the name before may hold anything
		fields := strings.Fields(rest)
		for _, field := range fields[11:13] { // utime and stime
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return 0, err
			}
			all += time.Duration(n) * tick
		}
	}
	return all, nil
}

// Family is a process with those that it has started and they have.
func Family(pid int) ([]int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, err
	}
	all := []int{pid}
	for _, field := range strings.Fields(string(text)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		family, err := Family(child)
		if err != nil {
			return nil, err
		}
		all = append(all, family...)
	}
	return all, nil
}

// FreeAddress is one on which nothing listens at the moment.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// Until asks again and again until there is no error any more.
func Until(ctx context.Context, limit time.Duration, what string, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w: %w", what, ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Kill ends a child and waits for it.
func Kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}
