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

func (g generation) String() string {
	text := fmt.Sprintf("%s %s: %d healthy, %d in service", g.colour, g.version, g.healthy, g.serving)
	if g.draining > 0 {
		text += fmt.Sprintf(", %d draining", g.draining)
	}
	text += fmt.Sprintf(" of %d", g.total)
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
	return text
}

// plainProgress prints a line for every change that can be seen in it.
type plainProgress struct {
	w    io.Writer
	last string
}

func (p *plainProgress) show(v rolloutView) {
	parts := []string{v.phaseText()}
	for _, g := range v.generations() {
		parts = append(parts, g.String())
	}
	line := strings.Join(parts, " · ")
	if line == p.last {
		return
	}
	p.last = line
	fmt.Fprintf(p.w, "%s  %s\n", time.Now().Format(time.TimeOnly), line)
}

func (p *plainProgress) stop() {}

// bars draws a line for the phase and a bar for each colour, and draws them
// again in place. The bars show the share of a colour's instances in service.
type bars struct {
	progress *mpb.Progress
	phase    *mpb.Bar
	byColour map[resource.Colour]*mpb.Bar

	mu    sync.Mutex // the library reads the texts from its own goroutine
	view  rolloutView
	texts map[resource.Colour]generation
}

func newBars(w io.Writer, width int) *bars {
	b := &bars{
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
	return fmt.Sprintf("%s  %s  %s", ro.Name, b.view.phaseText(), took(ro, time.Now()))
}

func (b *bars) show(v rolloutView) {
	generations := v.generations()
	b.mu.Lock()
	v.instances = nil // the caller's map goes on changing
	b.view = v
	for colour := range b.texts {
		b.texts[colour] = generation{colour: colour}
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
	return b.progress.New(0, mpb.BarStyle().Lbound("[").Rbound("]"),
		mpb.PrependDecorators(decor.Name(string(colour), decor.WC{W: 6, C: decor.DindentRight})),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.texts[colour].String()
		})))
}

func (b *bars) stop() {
	b.phase.Abort(false)
	for _, bar := range b.byColour {
		bar.Abort(false)
	}
	b.progress.Wait()
}
