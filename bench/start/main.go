// Command start measures how long an instance of a cached image takes to start,
// one after the other up to fifty, and fifty at once, from the command that asks
// for it to the moment its document says Healthy.
//
//	go run ./bench/start
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"time"

	"github.com/droverhq/drover/bench/server"
	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
)

func main() {
	rounds := flag.Int("rounds", 5, "the median is of these")
	size := flag.Int("instances", 50, "in the end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *rounds, *size); err != nil {
		fmt.Fprintln(os.Stderr, "bench/start:", err)
		os.Exit(1)
	}
}

const set = `
kind: ScaleSet
name: bench
spec: {image: "bench:1.0.0", capacity: 1, dataRetention: 0s, health: {path: /healthz}}
`

func run(ctx context.Context, rounds, size int) (err error) {
	s, err := server.Start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if err := prepare(ctx, s); err != nil {
		return err
	}
	f := &fleet{s.Client}
	if _, err := f.grow(ctx, 1); err != nil { // the image is unpacked into the cache
		return err
	}
	single := make([][]time.Duration, size+1) // by number of instances, then by round
	var together []time.Duration
	for round := range rounds {
		for n := 2; n <= size; n++ {
			took, err := f.grow(ctx, n)
			if err != nil {
				return err
			}
			single[n] = append(single[n], took)
		}
		if _, err := f.grow(ctx, 0); err != nil {
			return err
		}
		took, err := f.grow(ctx, size)
		if err != nil {
			return err
		}
		together = append(together, took)
		if _, err := f.grow(ctx, 1); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "round %d: the %dth took %v, all at once %v\n", round+1, size, single[size][round], took)
	}
	print(single, together, size)
	return nil
}

// prepare pushes a small program and asks for one instance of it.
func prepare(ctx context.Context, s *server.Server) error {
	program := filepath.Join(s.Dir(), "program", "workload")
	if err := server.Build(ctx, program, "github.com/droverhq/drover/test/e2e/workload"); err != nil {
		return err
	}
	if _, err := s.Run(ctx, "", "image", "push", "bench:1.0.0", filepath.Dir(program), "--entrypoint", "./workload"); err != nil {
		return err
	}
	_, err := s.Run(ctx, set, "apply", "-f", "-")
	return err
}

// fleet is the set under measurement.
type fleet struct{ client *client.Client }

// grow asks for a number of instances and says how long it took until just as
// many are there, all Healthy.
func (f *fleet) grow(ctx context.Context, n int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	filter := client.Filter{Set: "bench"}
	from, err := f.client.List(ctx, resource.KindInstance, filter)
	if err != nil {
		return 0, err
	}
	healthy := map[string]bool{}
	for _, d := range from.Items {
		healthy[d.Name] = isHealthy(d)
	}
	begin := time.Now()
	if _, err := f.client.Scale(ctx, "bench", n); err != nil {
		return 0, err
	}
	if reached(healthy, n) {
		return time.Since(begin), nil
	}
	for ch, err := range f.client.Watch(ctx, client.WatchOptions{Kind: resource.KindInstance, Filter: filter, From: from}) {
		if err != nil {
			return 0, err
		}
		healthy[ch.Document.Name] = isHealthy(ch.Document)
		if ch.Deleted {
			delete(healthy, ch.Document.Name)
		}
		if reached(healthy, n) {
			return time.Since(begin), nil
		}
	}
	return 0, fmt.Errorf("waiting for %d healthy instances: %w", n, context.Cause(ctx))
}

func isHealthy(d resource.Document) bool {
	in, err := resource.From[resource.InstanceSpec, resource.InstanceStatus](d)
	return err == nil && in.Status.Health == resource.HealthHealthy
}

// reached says whether n are there, and nothing but healthy ones.
func reached(healthy map[string]bool, n int) bool {
	for _, h := range healthy {
		if !h {
			return false
		}
	}
	return len(healthy) == n
}

func print(single [][]time.Duration, together []time.Duration, size int) {
	fmt.Println("| instance | ms until Healthy |")
	fmt.Println("|---|---|")
	for n := 5; n <= size; n += 5 {
		// Those around it make the figure of one instance less of a lottery.
		fmt.Printf("| %d to %d | %.0f |\n", n-3, n, millis(median(slices.Concat(single[n-3:n+1]...))))
	}
	all := median(together)
	fmt.Printf("| %d at once, each | %.1f |\n", size, millis(all)/float64(size))
	fmt.Printf("\n%d at once took %.0f ms.\n", size, millis(all))
}

func median(all []time.Duration) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
