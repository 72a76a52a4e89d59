// Command gateway measures the CPU time that a request costs in Drover, gateway
// and control process together, beside a plain httputil.ReverseProxy (and HAProxy,
// where it is installed) before the same two backends, under the same load.
//
//	go run ./bench/gateway
//
// Backends are instances of a scale set; the others are given their addresses.
// The candidates take turns, so that whatever else the machine does falls on all.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"time"

	"github.com/droverhq/drover/bench/server"
)

type options struct {
	requests, rate, rounds int
	levels, candidates     regexp.Regexp
}

// connections are kept alive and used side by side.
const connections = 64

func main() {
	var err error
	switch role(os.Args) {
	case "backend":
		err = backend("127.0.0.1:" + os.Getenv("PORT"))
	case "proxy":
		err = proxy(os.Args[2], os.Args[3] == "pooled", os.Args[4:])
	case "load":
		err = load(os.Args[2:])
	default:
		var o options
		flag.IntVar(&o.requests, "requests", 100_000, "of one candidate in one round")
		flag.IntVar(&o.rate, "rate", 4_000, "requests a second, where the machine is not to be full")
		flag.IntVar(&o.rounds, "rounds", 5, "the median is of these")
		flag.TextVar(&o.levels, "levels", &regexp.Regexp{}, "those whose name matches this regular expression")
		flag.TextVar(&o.candidates, "candidates", &regexp.Regexp{}, "those whose name matches this one; the last is what the others are compared with")
		flag.Parse()
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/gateway:", err)
		os.Exit(1)
	}
}

func role(args []string) string {
	if len(args) > 1 {
		return args[1]
	}
	return ""
}

// level is what is asked of a candidate.
type level struct {
	Name     string
	Requests int
	Rate     int  // 0: as fast as they are answered
	Bytes    int  // of an answer
	Fresh    bool // each request has a connection of its own
}

func levels(o options) []level {
	return []level{
		{Name: "As fast as it goes", Requests: o.requests, Bytes: 128},
		{Name: fmt.Sprintf("%d requests a second", o.rate), Requests: 5 * o.rate, Rate: o.rate, Bytes: 128},
		{Name: "As fast as it goes, 1 KiB", Requests: o.requests / 2, Bytes: 1 << 10},
		{Name: "As fast as it goes, 64 KiB", Requests: o.requests / 5, Bytes: 64 << 10},
		{Name: "As fast as it goes, a connection for each request", Requests: o.requests / 5, Bytes: 128, Fresh: true},
	}
}

// candidate is a proxy before the backends.
type candidate struct {
	name    string
	address string
	pids    []int
	rounds  map[string][]figures // by level
}

// figures of one round at one level; CPU is that of a request.
type figures struct {
	CPU, P50, P99 time.Duration
	PerSec        float64
}

func run(ctx context.Context, o options) (err error) {
	w, err := newWorld(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err2 := w.stop(); err == nil {
			err = err2
		}
	}()
	w.candidates = slices.DeleteFunc(w.candidates, func(c *candidate) bool { return !o.candidates.MatchString(c.name) })
	asked := slices.DeleteFunc(levels(o), func(l level) bool { return !o.levels.MatchString(l.Name) })
	for round := range o.rounds + 1 {
		for _, l := range asked {
			for _, c := range w.candidates {
				f, err := w.measure(ctx, c, l)
				if err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
				if round == 0 {
					continue // connections are opened, pools filled
				}
				c.rounds[l.Name] = append(c.rounds[l.Name], f)
				fmt.Fprintf(os.Stderr, "round %d, %s, %s: %.1f µs\n", round, l.Name, c.name, micros(f.CPU))
			}
		}
	}
	for _, l := range asked {
		print(l, w.candidates)
	}
	return nil
}

func (w *world) measure(ctx context.Context, c *candidate, l level) (figures, error) {
	before, err := server.CPU(c.pids...)
	if err != nil {
		return figures{}, err
	}
	seen, err := w.load(ctx, c.address, l)
	if err != nil {
		return figures{}, err
	}
	after, err := server.CPU(c.pids...)
	if err != nil {
		return figures{}, err
	}
	return figures{
		CPU: (after - before) / time.Duration(l.Requests), P50: seen.P50, P99: seen.P99,
		PerSec: float64(l.Requests) / seen.Took.Seconds(),
	}, nil
}

// print compares with the last candidate.
func print(l level, all []*candidate) {
	last := all[len(all)-1]
	fmt.Printf("\n%s:\n\n", l.Name)
	fmt.Printf("| candidate | CPU per request | ratio to %s | requests/s | p50 | p99 | ratio |\n", last.name)
	fmt.Println("|---|---|---|---|---|---|---|")
	for _, c := range all {
		rounds, others := c.rounds[l.Name], last.rounds[l.Name]
		cpu := func(f figures) float64 { return micros(f.CPU) }
		p99 := func(f figures) float64 { return micros(f.P99) / 1000 }
		fmt.Printf("| %s | %.1f µs | %.2f | %.0f | %.1f ms | %.1f ms | %.2f |\n", c.name,
			median(rounds, cpu), ratio(rounds, others, cpu),
			median(rounds, func(f figures) float64 { return f.PerSec }),
			median(rounds, func(f figures) float64 { return micros(f.P50) / 1000 }),
			median(rounds, p99), ratio(rounds, others, p99))
	}
}

// ratio is the median of the rounds' ratios.
func ratio(all, others []figures, of func(figures) float64) float64 {
	var ratios []float64
	for i := range all {
		ratios = append(ratios, of(all[i])/of(others[i]))
	}
	return middle(ratios)
}

func median(all []figures, of func(figures) float64) float64 {
	var values []float64
	for _, f := range all {
		values = append(values, of(f))
	}
	return middle(values)
}

func middle(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
