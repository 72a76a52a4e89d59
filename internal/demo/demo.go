package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/droverhq/drover/internal/load"
	"github.com/droverhq/drover/internal/resource"
)

// Options of a demo.
type Options struct {
	Duration time.Duration // of the whole, at least MinDuration
	JSON     bool          // the last line of Out is the result
	Out      io.Writer
	Terminal bool // Out is one
	// Command is this program with what makes it Drover's hidden sub-commands; default: itself.
	Command []string
}

// Run tells the story and returns what it saw; the error says what was not as promised.
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := enough(o.Duration); err != nil {
		return nil, err
	}
	d := &demo{
		Options: o, display: &display{w: o.Out, terminal: o.Terminal}, pace: paceOf(o.Duration),
		started: time.Now(), result: &Result{ByVersion: map[string]uint64{}},
	}
	// The story has its own bound inside the whole: what is left is for cleaning up.
	story, cancel := context.WithTimeoutCause(ctx, o.Duration-cleanUp, errors.New("the demo's time is over"))
	defer cancel()
	err := d.play(story)
	if err2 := d.tearDown(); err == nil {
		err = err2
	}
	if ctx.Err() != nil {
		return d.result, errors.New("interrupted; everything that the demo started is gone")
	}
	if err == nil {
		err = d.result.verdict()
	}
	return d.result, err
}

// enough says whether the story fits into a duration.
func enough(d time.Duration) error {
	if d < MinDuration {
		return resource.Errorf(resource.CodeInvalid, "%s is too short for the story: it takes at least %s", d, MinDuration)
	}
	return nil
}

// cleanUp is how much of the duration is kept for stopping everything.
const cleanUp = 4 * time.Second

type demo struct {
	Options
	display *display
	pace    pace
	started time.Time
	server  *server
	load    *load.Generator
	result  *Result
	stage   stage
}

func (d *demo) play(ctx context.Context) error {
	if err := d.setUp(ctx); err != nil {
		return explain(ctx, err)
	}
	stopLoad := d.startLoad(ctx)
	err := d.chapters(ctx)
	stopLoad()
	d.result.addLoad(d.load.Stats())
	d.addGatewayFigures()
	return explain(ctx, err)
}

// explain prefers why the context ended over the error that this led to.
func explain(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// startLoad keeps the load and the picture going until it is stopped.
func (d *demo) startLoad(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	loaded, shown := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(loaded)
		d.load.Run(ctx)
	}()
	go func() {
		defer close(shown)
		d.watchStage(ctx)
	}()
	return func() {
		cancel()
		<-loaded
		<-shown
	}
}

// chapters are the story: a good rollout, a bad one, each with a rest.
func (d *demo) chapters(ctx context.Context) error {
	if err := d.rest(ctx, "version 1.0.0 serves", 2); err != nil {
		return err
	}
	if err := d.roll(ctx, "2.0.0", "blue/green to version 2.0.0"); err != nil {
		return err
	}
	if err := d.rest(ctx, "version 2.0.0 serves", 1); err != nil {
		return err
	}
	if err := d.roll(ctx, "3.0.0", "blue/green to version 3.0.0, which breaks under traffic"); err != nil {
		return err
	}
	// All that is promised has been shown: that the time is over is no failure.
	_ = d.rest(ctx, "version 2.0.0 serves again", 0)
	return nil
}

// rest shows for a while what serves, before so many rollouts. It fails when the time
// of the whole is over.
func (d *demo) rest(ctx context.Context, chapter string, rollouts int) error {
	d.stage.begin(chapter, "")
	left := d.Duration - cleanUp - time.Since(d.started)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d.pace.rest(left, rollouts)):
		return nil
	}
}

// joined puts a colon between a thing and its detail, if it has one.
func joined(thing, detail string) string {
	if detail == "" {
		return thing
	}
	return thing + ": " + detail
}

// roll runs one rollout to its end, whatever that is.
func (d *demo) roll(ctx context.Context, to, chapter string) error {
	ro, err := d.server.client.StartRollout(ctx, setName, rolloutTo(to))
	if err != nil {
		return fmt.Errorf("start the rollout to %s: %w", to, err)
	}
	d.stage.begin(chapter, ro.Name)
	for {
		if ro, err = d.server.rollout(ctx, ro.Name); err != nil {
			return err
		}
		if ro.Status.Phase.Terminal() {
			d.result.addRollout(ro)
			d.display.say("%s", joined(chapter+": "+string(ro.Status.Phase), ro.Status.Reason))
			return nil
		}
		select {
		case <-ctx.Done():
			d.result.addRollout(ro)
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
