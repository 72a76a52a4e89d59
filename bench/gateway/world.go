package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/droverhq/drover/bench/server"
	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
)

// world is a Drover with two instances, and the other candidates before them.
type world struct {
	drover     *server.Server
	program    string // this program
	children   []*exec.Cmd
	candidates []*candidate
}

func newWorld(ctx context.Context) (*world, error) {
	drover, err := server.Start(ctx)
	if err != nil {
		return nil, err
	}
	w := &world{drover: drover, program: filepath.Join(drover.Dir(), "program", "bench")}
	if err := w.start(ctx); err != nil {
		return nil, errors.Join(err, w.stop())
	}
	return w, nil
}

func (w *world) stop() error {
	for _, c := range w.children {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // with what it has started
		_ = c.Wait()
	}
	return w.drover.Stop()
}

func (w *world) start(ctx context.Context) error {
	if err := server.Build(ctx, w.program, "github.com/droverhq/drover/bench/gateway"); err != nil {
		return err
	}
	if err := writeCertificate(w.drover.Dir()); err != nil {
		return err
	}
	fronts, err := w.startDrover(ctx)
	if err != nil {
		return err
	}
	backends, err := w.backends(ctx)
	if err != nil {
		return err
	}
	pids, err := w.drover.Processes()
	if err != nil {
		return err
	}
	w.candidates = append(w.candidates, newCandidate("drover", fronts, pids...))
	for _, p := range peers {
		if err := w.startPeer(p, backends); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

const documents = `
kind: ScaleSet
name: bench
spec: {image: "bench:1.0.0", capacity: 2, health: {path: /healthz}}
---
kind: LoadBalancer
name: http
spec: {listen: %[1]q, backend: bench}
---
kind: LoadBalancer
name: https
spec: {listen: %[2]q, backend: bench, tls: {certificates: [{certFile: %[3]q, keyFile: %[4]q}]}}
---
kind: LoadBalancer
name: tcp
spec: {listen: %[5]q, backend: bench, protocol: tcp}
`

func (w *world) startDrover(ctx context.Context) (fronts map[protocol]string, err error) {
	if fronts, err = freeAddresses(protocols); err != nil {
		return nil, err
	}
	if _, err := w.drover.Run(ctx, "", "image", "push", "bench:1.0.0", filepath.Dir(w.program), "--entrypoint", "./bench backend"); err != nil {
		return nil, err
	}
	dir := w.drover.Dir()
	text := fmt.Sprintf(documents, fronts[plain], fronts[tls], filepath.Join(dir, certFile), filepath.Join(dir, keyFile), fronts[tcp])
	_, err = w.drover.Run(ctx, text, "apply", "-f", "-")
	return fronts, err
}

func freeAddresses(list []protocol) (map[protocol]string, error) {
	addresses := map[protocol]string{}
	for _, p := range list {
		address, err := server.FreeAddress()
		if err != nil {
			return nil, err
		}
		addresses[p] = address
	}
	return addresses, nil
}

// backends waits until both instances take traffic.
func (w *world) backends(ctx context.Context) (addresses []string, err error) {
	err = server.Until(ctx, time.Minute, "both instances take traffic", func() error {
		all, err := w.drover.Client.List(ctx, resource.KindInstance, client.Filter{Set: "bench"})
		if err != nil {
			return err
		}
		addresses = nil
		for _, d := range all.Items {
			in, err := resource.From[resource.InstanceSpec, resource.InstanceStatus](d)
			if err != nil {
				return err
			}
			if in.Status.Health == resource.HealthHealthy && in.Status.Admission == resource.AdmissionInService {
				addresses = append(addresses, in.Status.Address)
			}
		}
		if len(addresses) != 2 {
			return fmt.Errorf("%d do", len(addresses))
		}
		return nil
	})
	return addresses, err
}

// startPeer starts one of the others, if it is there.
func (w *world) startPeer(p peer, backends []string) error {
	program := w.program
	if p.program != "" {
		if program = installed(p.program); program == "" {
			return nil
		}
	}
	listen, err := freeAddresses(p.speaks)
	if err != nil {
		return err
	}
	args, err := p.command(w.drover.Dir(), listen, backends)
	if err != nil {
		return err
	}
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "HOME="+w.drover.Dir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // as services are, and Drover's gateway: sessions get equal shares of a processor
	if err := cmd.Start(); err != nil {
		return err
	}
	w.children = append(w.children, cmd)
	for _, address := range listen {
		if err := server.Until(context.Background(), 10*time.Second, "it listens", func() error { return connect(address) }); err != nil {
			return err
		}
	}
	pids, err := server.Family(cmd.Process.Pid)
	if err != nil {
		return err
	}
	w.candidates = append(w.candidates, newCandidate(p.name, listen, pids...))
	return nil
}

func connect(address string) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	return c.Close()
}

// load runs the load generator as a process of its own.
func (w *world) load(ctx context.Context, address string, l level) (seen, error) {
	text, err := json.Marshal(l)
	if err != nil {
		return seen{}, err
	}
	cmd := exec.CommandContext(ctx, w.program, "load", address, string(text), filepath.Join(w.drover.Dir(), certFile))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return seen{}, fmt.Errorf("load: %w", err)
	}
	var s seen
	return s, json.Unmarshal(out, &s)
}
