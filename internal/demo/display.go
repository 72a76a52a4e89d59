package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// display shows the demo as it goes: on a terminal a picture that is drawn over,
// elsewhere a line for each thing that changes.
type display struct {
	w        io.Writer
	terminal bool

	mu    sync.Mutex
	lines int // of the picture that stands now
	last  string
}

// say prints a line that stays.
func (d *display) say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.erase()
	fmt.Fprintf(d.w, format+"\n", args...)
}

// show draws the scene; where nothing can be drawn over, only its news.
func (d *display) show(s scene) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.terminal {
		if line := s.news(); line != d.last {
			d.last = line
			fmt.Fprintln(d.w, line)
		}
		return
	}
	d.erase()
	text := s.picture()
	d.lines = strings.Count(text, "\n")
	io.WriteString(d.w, text)
}

func (d *display) erase() {
	if d.lines > 0 {
		fmt.Fprintf(d.w, "\x1b[%dA\x1b[J", d.lines)
		d.lines = 0
	}
}

// scene is the state of everything at one moment.
type scene struct {
	elapsed, total time.Duration
	chapter        string
	rollout        string // name, phase and step; empty: none runs
	progress       float64
	requests       uint64
	perSecond      float64
	failed         uint64
	p99Ms          float64
	instances      []actor
}

// actor is one instance.
type actor struct {
	name, colour, version, health, admission string
}

func (s scene) news() string {
	states := map[string]int{}
	for _, a := range s.instances {
		states[a.version+" "+a.admission]++
	}
	var parts []string
	for _, a := range s.instances {
		key := a.version + " " + a.admission
		if n := states[key]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d × %s", n, key))
			delete(states, key)
		}
	}
	text := s.chapter
	if s.rollout != "" {
		text += " | " + s.rollout
	}
	return text + " | " + strings.Join(parts, ", ")
}

func (s scene) picture() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %4.0f s  %s\n", bar(float64(s.elapsed)/float64(s.total), 30), s.elapsed.Seconds(), s.chapter)
	if s.rollout != "" {
		fmt.Fprintf(&b, "%s rollout %s\n", bar(s.progress, 30), s.rollout)
	}
	fmt.Fprintf(&b, "%d requests, %.0f/s, %s, p99 %.1f ms\n", s.requests, s.perSecond, failedText(s.failed), s.p99Ms)
	for _, a := range s.instances {
		fmt.Fprintf(&b, "  %s%-10s %-6s %-7s %-13s %-10s%s\n", paint(a), a.name, a.colour, a.version, a.health, a.admission, reset)
	}
	return b.String()
}

const (
	reset = "\x1b[0m"
	green = "\x1b[32m"
	red   = "\x1b[31m"
	amber = "\x1b[33m"
	grey  = "\x1b[90m"
)

func paint(a actor) string {
	switch {
	case a.health == "Unhealthy":
		return red
	case a.admission == "InService":
		return green
	case a.admission == "Draining":
		return amber
	}
	return grey
}

func failedText(n uint64) string {
	if n == 0 {
		return green + "0 failed" + reset
	}
	return fmt.Sprintf("%s%d failed%s", red, n, reset)
}

func bar(share float64, width int) string {
	full := int(min(max(share, 0), 1) * float64(width))
	return "[" + strings.Repeat("█", full) + strings.Repeat("░", width-full) + "]"
}
