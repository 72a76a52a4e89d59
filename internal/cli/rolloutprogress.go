package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/droverhq/drover/internal/resource"
)

// generation counts the instances of one colour: during a rollout a set has two.
type generation struct {
	version  string
	colour   resource.Colour
	total    int
	healthy  int
	serving  int
	draining int
	restarts int
}

// generations are the view's instances by colour and version: what serves now
// first, what the rollout brings last.
func (v rolloutView) generations() []generation {
	byKey := map[string]generation{}
	for _, i := range v.instances {
		s := i.Status
		key := string(s.Colour) + " " + s.Version
		g := byKey[key]
		g.version, g.colour = s.Version, s.Colour
		g.total++
		g.restarts += s.Restarts
		switch s.Admission {
		case resource.AdmissionInService:
			g.serving++
		case resource.AdmissionDraining:
			g.draining++
		}
		if s.Health == resource.HealthHealthy {
			g.healthy++
		}
		byKey[key] = g
	}
	newColour := v.rollout.Status.NewColour
	return slices.SortedFunc(maps.Values(byKey), func(a, b generation) int {
		if (a.colour == newColour) != (b.colour == newColour) {
			if a.colour == newColour {
				return 1
			}
			return -1
		}
		return strings.Compare(string(a.colour)+a.version, string(b.colour)+b.version)
	})
}

func (g generation) title() string { return string(g.colour) + " " + g.version }

func (g generation) state() string {
	text := fmt.Sprintf("%d of %d in service, %d healthy", g.serving, g.total, g.healthy)
	if g.draining > 0 {
		text += fmt.Sprintf(", %d draining", g.draining)
	}
	if g.restarts > 0 {
		text += fmt.Sprintf(" (%s)", count(g.restarts, "restart"))
	}
	return text
}

// phaseText is the phase with what is known of it.
func (v rolloutView) phaseText() string {
	st := v.rollout.Status
	text := string(st.Phase)
	if st.Step != "" && st.Step != text {
		text += " (" + oneLine(st.Step) + ")"
	}
	if st.Reason != "" {
		text += ": " + oneLine(st.Reason)
	}
	if len(st.Weights) > 1 { // else all of it is one version's, which is seen anyway
		text += " · traffic " + weightsText(st.Weights)
	}
	if st.Preview != "" {
		text += " · preview http://" + st.Preview
	}
	return text
}

// weightsText is the share of traffic that each version gets.
func weightsText(weights map[string]float64) string {
	var parts []string
	for _, version := range slices.Sorted(maps.Keys(weights)) {
		parts = append(parts, version+" "+resource.Percent(weights[version]).String())
	}
	return strings.Join(parts, ", ")
}

// noProgress is for programs, which wait for the end.
type noProgress struct{}

func (noProgress) show(rolloutView)   {}
func (noProgress) notices() io.Writer { return io.Discard }
func (noProgress) stop()              {}

// plainProgress prints a line for every change that can be seen in it.
type plainProgress struct {
	w, errors io.Writer
	last      string
}

func (p *plainProgress) show(v rolloutView) {
	parts := []string{v.phaseText()}
	for _, g := range v.generations() {
		parts = append(parts, g.title()+": "+g.state())
	}
	line := strings.Join(parts, " · ")
	if line == p.last {
		return
	}
	p.last = line
	fmt.Fprintf(p.w, "%s  %s\n", time.Now().Format(time.TimeOnly), line)
}

func (p *plainProgress) notices() io.Writer { return p.errors }

func (p *plainProgress) stop() {}

// bars draws a line for the phase and a bar for each colour, and draws them
// again in place. The bars show the share of a colour's instances in service.
type bars struct {
	width    int
	progress *mpb.Progress
	phase    *mpb.Bar
	byColour map[resource.Colour]*mpb.Bar

	mu    sync.Mutex // the library reads the texts from its own goroutine
	view  rolloutView
	texts map[resource.Colour]generation
}

func newBars(w io.Writer, width int) *bars {
	b := &bars{
		width:    width,
		progress: mpb.New(mpb.WithOutput(w), mpb.WithWidth(min(width, 100)), mpb.WithAutoRefresh()),
		byColour: map[resource.Colour]*mpb.Bar{}, texts: map[resource.Colour]generation{},
	}
	b.phase = b.progress.New(0, mpb.NopStyle(), mpb.PrependDecorators(decor.Any(b.phaseLine)), mpb.BarPriority(-1))
	return b
}

func (b *bars) phaseLine(decor.Statistics) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	ro := b.view.rollout
	line := []rune(fmt.Sprintf("%s  %s  %s", ro.Name, took(ro, time.Now()), b.view.phaseText()))
	return string(line[:min(len(line), b.width-1)]) // a line that wraps can't be drawn over
}

func (b *bars) notices() io.Writer { return b.progress }

func (b *bars) show(v rolloutView) {
	generations := v.generations()
	b.mu.Lock()
	v.instances = nil // the caller's map goes on changing
	b.view = v
	for colour, g := range b.texts {
		b.texts[colour] = generation{colour: colour, version: g.version}
	}
	for _, g := range generations {
		b.texts[g.colour] = g
	}
	b.mu.Unlock()
	for _, g := range generations {
		bar := b.byColour[g.colour]
		if bar == nil {
			bar = b.add(g.colour)
			b.byColour[g.colour] = bar
		}
		bar.SetTotal(int64(g.total), false)
		bar.SetCurrent(int64(g.serving))
	}
}

// add makes a colour's bar. Its total is set later, without making it complete: a bar may go back.
func (b *bars) add(colour resource.Colour) *mpb.Bar {
	text := func(part func(generation) string) decor.Decorator {
		return decor.Any(func(decor.Statistics) string {
			b.mu.Lock()
			defer b.mu.Unlock()
			return part(b.texts[colour])
		}, decor.WCSyncSpaceR)
	}
	return b.progress.New(0, mpb.BarStyle(), mpb.BarWidth(20),
		mpb.PrependDecorators(text(generation.title)), mpb.AppendDecorators(text(generation.state)))
}

func (b *bars) stop() {
	b.phase.Abort(false)
	for _, bar := range b.byColour {
		bar.Abort(false)
	}
	b.progress.Wait()
}
