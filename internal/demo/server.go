package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/droverhq/drover/internal/app"
	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/client/imagepush"
	"github.com/droverhq/drover/internal/load"
	"github.com/droverhq/drover/internal/resource"
)

// server is the embedded Drover and its client.
type server struct {
	folder string
	app    *app.App
	client *client.Client
}

// setUp starts everything up to a set that serves version 1.0.0.
func (d *demo) setUp(ctx context.Context) error {
	d.display.say("Starting a server with everything embedded.")
	if err := d.startServer(ctx); err != nil {
		return err
	}
	d.display.say("Pushing versions 1.0.0, 2.0.0 and 3.0.0 of the sample program.")
	if err := d.server.push(ctx); err != nil {
		return err
	}
	d.display.say("Creating a scale set of %d behind a load balancer.", instances)
	var docs []json.RawMessage
	for _, text := range documents(d.pace) {
		docs = append(docs, json.RawMessage(text))
	}
	if _, err := d.server.client.Apply(ctx, docs, client.ApplyOptions{}); err != nil {
		return fmt.Errorf("apply the demo's documents: %w", err)
	}
	address, err := d.server.serving(ctx)
	if err != nil {
		return err
	}
	d.display.say("Serving at http://%s; %d connections, %d requests a second.", address, connections, rate)
	d.load = load.New(load.Options{Address: address, Connections: connections, Rate: rate, PostEvery: 10, BodyBytes: 512})
	return nil
}

func (d *demo) startServer(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "drover-demo-")
	if err != nil {
		return fmt.Errorf("make a temporary folder: %w", err)
	}
	d.server = &server{folder: folder}
	// Instances run as users of their own and must be able to pass through.
	if err := os.Chmod(folder, 0o711); err != nil {
		return fmt.Errorf("open the temporary folder: %w", err)
	}
	a, err := app.New(app.Options{Listen: "127.0.0.1:0", Data: folder, Command: d.Command})
	if err != nil {
		return err
	}
	d.server.app = a
	if err := a.Start(ctx); err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	d.server.client, err = client.New(client.Options{Data: folder})
	return err
}

// push makes the three images: the program is in a layer that all of them share.
func (s *server) push(ctx context.Context) error {
	stage := filepath.Join(s.folder, "demo")
	if err := stageProgram(filepath.Join(stage, "program")); err != nil {
		return err
	}
	options := imagepush.Options{
		Layers:     []imagepush.Folder{{Path: filepath.Join(stage, "program")}},
		Entrypoint: []string{"./drover", "sample"}, Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	program, err := imagepush.Build(ctx, options)
	if err != nil {
		return fmt.Errorf("build the program's layer: %w", err)
	}
	for _, v := range versions {
		folder := filepath.Join(stage, v.number)
		if err := stageFile(filepath.Join(folder, "sample.json"), []byte(v.config), 0o644); err != nil {
			return err
		}
		options.Base, options.Layers = program, []imagepush.Folder{{Path: folder}}
		image, err := imagepush.Build(ctx, options)
		if err != nil {
			return fmt.Errorf("build version %s: %w", v.number, err)
		}
		if err := s.client.PushImage(ctx, "hello:"+v.number, image, nil); err != nil {
			return fmt.Errorf("push version %s: %w", v.number, err)
		}
	}
	return nil
}

// stageProgram puts this very binary into a folder, as the sample program.
func stageProgram(folder string) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's own file: %w", err)
	}
	program, err := os.ReadFile(exe)
	if err != nil {
		return fmt.Errorf("read this program's own file: %w", err)
	}
	return stageFile(filepath.Join(folder, "drover"), program, 0o755)
}

func stageFile(path string, content []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("stage the demo's files: %w", err)
	}
	if err := os.WriteFile(path, content, mode); err != nil {
		return fmt.Errorf("stage the demo's files: %w", err)
	}
	return nil
}

// serving waits until the balancer listens and every instance takes traffic.
func (s *server) serving(ctx context.Context) (address string, err error) {
	for {
		address, ready, err := s.ready(ctx)
		if err != nil {
			return "", err
		}
		if ready {
			return address, nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *server) ready(ctx context.Context) (address string, ready bool, err error) {
	doc, err := s.client.Get(ctx, resource.KindLoadBalancer, "front")
	if err != nil {
		return "", false, err
	}
	lb, err := resource.From[resource.LoadBalancerSpec, resource.LoadBalancerStatus](doc)
	if err != nil {
		return "", false, err
	}
	doc, err = s.client.Get(ctx, resource.KindScaleSet, setName)
	if err != nil {
		return "", false, err
	}
	set, err := resource.From[resource.ScaleSetSpec, resource.ScaleSetStatus](doc)
	return lb.Status.Address, lb.Status.Address != "" && set.Status.Instances.InService == instances, err
}

func (s *server) rollout(ctx context.Context, name string) (resource.Rollout, error) {
	doc, err := s.client.Get(ctx, resource.KindRollout, name)
	if err != nil {
		return resource.Rollout{}, err
	}
	return resource.From[resource.RolloutSpec, resource.RolloutStatus](doc)
}

func rolloutTo(number string) client.RolloutRequest {
	return client.RolloutRequest{Image: "hello:" + number}
}

// addGatewayFigures takes what only the gateway can count.
func (d *demo) addGatewayFigures() {
	for _, c := range d.server.app.Counters(setName) {
		d.result.Retried += c.Retried
		d.result.Cut += c.Cut
	}
}

// tearDown ends everything that was started, also after a failure half way.
func (d *demo) tearDown() error {
	s := d.server
	if s == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var errs []error
	if s.client != nil {
		s.client.Close()
	}
	if s.app != nil {
		errs = append(errs, s.app.Down(ctx), s.app.Stop(ctx))
	}
	if err := os.RemoveAll(s.folder); err != nil {
		errs = append(errs, fmt.Errorf("remove %s: %w", filepath.Clean(s.folder), err))
	}
	return errors.Join(errs...)
}
