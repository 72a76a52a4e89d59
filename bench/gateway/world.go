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
	"strings"
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
	pair       pair
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
		server.Kill(c)
	}
	return w.drover.Stop()
}

func (w *world) start(ctx context.Context) error {
	if err := server.Build(ctx, w.program, "github.com/droverhq/drover/bench/gateway"); err != nil {
		return err
	}
	var err error
	if w.pair, err = writePair(w.drover.Dir()); err != nil {
		return err
	}
	front, secure, err := w.startDrover(ctx)
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
	if err := w.startOther("httputil", w.program, func(listen, secure string) ([]string, error) {
		return append([]string{"proxy", listen, secure, w.pair.cert, w.pair.key, "plain"}, backends...), nil
	}); err != nil {
		return err
	}
	w.candidates = append(w.candidates, &candidate{name: "drover", address: front, secure: secure, pids: pids, rounds: map[string][]figures{}})
	if err := w.startOther("httputil + BufferPool", w.program, func(listen, secure string) ([]string, error) {
		return append([]string{"proxy", listen, secure, w.pair.cert, w.pair.key, "pooled"}, backends...), nil
	}); err != nil {
		return err
	}
	if haproxy, err := exec.LookPath("haproxy"); err == nil {
		return w.startOther("HAProxy", haproxy, func(listen, secure string) ([]string, error) { return w.haproxy(listen, secure, backends) })
	}
	return nil
}

const documents = `
kind: ScaleSet
name: bench
spec: {image: "bench:1.0.0", capacity: 2, health: {path: /healthz}}
---
kind: LoadBalancer
name: front
spec: {listen: %q, backend: bench}
---
kind: LoadBalancer
name: secure
spec: {listen: %q, backend: bench, tls: {certificates: [{certFile: %q, keyFile: %q}]}}
`

func (w *world) startDrover(ctx context.Context) (front, secure string, err error) {
	if front, err = server.FreeAddress(); err == nil {
		secure, err = server.FreeAddress()
	}
	if err != nil {
		return "", "", err
	}
	if _, err := w.drover.Run(ctx, "", "image", "push", "bench:1.0.0", filepath.Dir(w.program), "--entrypoint", "./bench backend"); err != nil {
		return "", "", err
	}
	_, err = w.drover.Run(ctx, fmt.Sprintf(documents, front, secure, w.pair.cert, w.pair.key), "apply", "-f", "-")
	return front, secure, err
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

func (w *world) startOther(name, program string, args func(listen, secure string) ([]string, error)) error {
	listen, err := server.FreeAddress()
	if err != nil {
		return err
	}
	secure, err := server.FreeAddress()
	if err != nil {
		return err
	}
	list, err := args(listen, secure)
	if err != nil {
		return err
	}
	cmd := exec.Command(program, list...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // as services are, and Drover's gateway: sessions get equal shares of a processor
	if err := cmd.Start(); err != nil {
		return err
	}
	w.children = append(w.children, cmd)
	w.candidates = append(w.candidates, &candidate{name: name, address: listen, secure: secure, pids: []int{cmd.Process.Pid}, rounds: map[string][]figures{}})
	return server.Until(context.Background(), 10*time.Second, name+" listens", func() error {
		c, err := net.Dial("tcp", listen)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// haproxy writes what does the same as the others: connections to backends kept
// and shared, least connections, X-Forwarded-For.
func (w *world) haproxy(listen, secure string, backends []string) ([]string, error) {
	var text strings.Builder
	text.WriteString("global\n  maxconn 4096\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n" +
		"  option http-keep-alive\n  option forwardfor\n  http-reuse always\n")
	fmt.Fprintf(&text, "frontend front\n  bind %s\n  bind %s ssl crt %s\n  default_backend back\nbackend back\n  balance leastconn\n", listen, secure, w.pair.both)
	for i, address := range backends {
		fmt.Fprintf(&text, "  server s%d %s\n", i, address)
	}
	file := filepath.Join(w.drover.Dir(), "haproxy.cfg")
	return []string{"-q", "-db", "-f", file}, os.WriteFile(file, []byte(text.String()), 0o600)
}

// load runs the load generator as a process of its own.
func (w *world) load(ctx context.Context, address string, l level) (seen, error) {
	text, err := json.Marshal(l)
	if err != nil {
		return seen{}, err
	}
	cmd := exec.CommandContext(ctx, w.program, "load", address, string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return seen{}, fmt.Errorf("load: %w", err)
	}
	var s seen
	return s, json.Unmarshal(out, &s)
}
