package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/droverhq/drover/internal/gateway/wire"
)

const (
	// A gateway that lived this long is started again at once when it dies.
	steadyLife  = time.Second
	firstWait   = 50 * time.Millisecond
	longestWait = 2 * time.Second
	// pollWait is how long a poll may wait for news.
	pollWait = 2 * time.Second
	// retryBind is how soon an address that was taken is tried again.
	retryBind    = time.Second
	retryRefused = 30 * time.Second
	// maxRounds bounds what one push sends: a new state, what replaces what was
	// refused of it, and what replaces that; and once more for an address that
	// became free, or for hints that are done with.
	maxRounds = 5
)

// link is a gateway that is attached.
type link struct {
	calls *wire.Conn
	polls *wire.Conn
	hello wire.Hello
	epoch int64
	known []wire.Socket // what the gateway holds
	// applied is the gateway's snapshot when it was attached.
	applied wire.Snapshot
	gone    chan struct{} // closed: the process has ended; of one that leaves
	foreign bool          // it speaks another protocol: it can only be replaced
}

func (l *link) close() {
	if !l.mute() {
		l.calls.Close()
		l.polls.Close()
	}
}

// supervise keeps a gateway attached.
func (c *Control) supervise(ctx context.Context) error {
	wait := time.Duration(0)
	p := newPusher(c)
	for {
		began := time.Now()
		err := c.once(ctx, p)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case c.stopping.Load():
			return errStopped
		case errors.Is(err, wire.ErrSuperseded):
			return err
		case errors.Is(err, errReplaced):
			wait = 0
			continue // all that was answered is still so
		}
		c.disconnect()
		c.reap()
		if time.Since(began) > steadyLife {
			wait = 0
		}
		c.o.Logger.Warn("The gateway is gone and will be started again", "error", err, "wait", wait)
		if !pause(ctx, wait) {
			return ctx.Err()
		}
		wait = min(max(2*wait, firstWait), longestWait)
	}
}

// once finds or starts a gateway and stays with it until the connection ends.
func (c *Control) once(ctx context.Context, p *pusher) error {
	l, fresh, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	e, err := c.elder(ctx, l)
	if err != nil {
		return err
	}
	if e != nil {
		defer e.close()
	}
	p.begin(l, e, fresh)
	g, ctx := errgroup.WithContext(ctx)
	if e != nil {
		if err := c.meet(ctx, e); err != nil {
			return err
		}
		g.Go(func() error { return c.outlast(ctx, e) })
	}
	g.Go(func() error {
		if l.foreign {
			return errors.Join(awaitEnd(ctx, l.hello.Identity), errNone)
		}
		return c.poll(ctx, l, c.update)
	})
	g.Go(func() error { return p.run(ctx) })
	g.Go(func() error { return c.prepare(ctx, l, e, p.heirs) })
	return g.Wait()
}

func (c *Control) connect(ctx context.Context) (l *link, fresh bool, err error) {
	c.mu.Lock()
	l, c.waiting = c.waiting, nil
	c.mu.Unlock()
	if l != nil {
		return l, false, nil
	}
	if l, err = c.adopt(ctx, wire.Serving); l != nil || err != nil {
		return l, false, err
	}
	return c.start(ctx)
}

// poll takes facts in until the connection ends.
func (c *Control) poll(ctx context.Context, l *link, take func(wire.Facts)) error {
	var after uint64
	trimmed := time.Now()
	for {
		if time.Since(trimmed) > time.Minute {
			trimmed = time.Now()
			if err := trimLog(c.logPath()); err != nil {
				c.o.Logger.Warn("The gateway's log grows", "error", err)
			}
		}
		f, err := l.ask(ctx, after)
		if err != nil {
			return err
		}
		after = f.Sequence
		take(f)
	}
}

// ask returns facts that are later than after.
func (l *link) ask(ctx context.Context, after uint64) (f wire.Facts, err error) {
	call, cancel := context.WithTimeout(ctx, pollWait+callTimeout)
	defer cancel()
	_, err = l.polls.Call(call, wire.OpPoll, wire.Poll{Epoch: l.epoch, After: after, Wait: pollWait}, &f)
	return f, err
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// pusher tells the gateway what the documents say. It lives over gateways: what
// one had applied is what the next one falls back on.
type pusher struct {
	control *Control
	link    *link
	elder   *link                    // the gateway that leaves; nil: none does
	heirs   chan *heir               // that stand by
	hint    bool                     // the gateway is new: tell what was healthy
	sent    []byte                   // content of the snapshot that is applied, whole
	last    wire.Snapshot            // the same; its generation is what others are confirmed by
	good    map[string]wire.Balancer // as last applied without an error
	refused map[string]refusal       // by the content that the gateway could not apply
	warned  string                   // why a status could not be written, as it was logged
}

// refusal is why the gateway could not apply something. It is tried again once in
// a while: the reason may lie outside.
type refusal struct {
	why string
	at  time.Time
}

func newPusher(c *Control) *pusher {
	return &pusher{control: c, heirs: make(chan *heir), good: map[string]wire.Balancer{}, refused: map[string]refusal{}}
}

func (p *pusher) begin(l, elder *link, fresh bool) {
	p.link, p.elder, p.hint, p.sent = l, elder, fresh, nil
	for _, b := range l.applied.Balancers {
		if _, ok := p.good[b.Name]; !ok {
			p.good[b.Name] = b
		}
	}
}

// run pushes whenever something changed, and tries again what failed.
func (p *pusher) run(ctx context.Context) error {
	for {
		trouble, err := p.push(ctx)
		if err != nil {
			return err
		}
		retry := time.NewTimer(retryBind)
		if !trouble {
			retry.Stop()
		}
		heirs := p.heirs
		if p.sent == nil {
			heirs = nil // there is nothing yet to succeed to
		}
		select {
		case <-ctx.Done():
			retry.Stop()
			return ctx.Err()
		case <-p.control.view.changed:
			retry.Stop()
		case h := <-heirs:
			retry.Stop()
			if err := p.succeed(ctx, h); err == nil {
				return errReplaced
			} else {
				h.failed <- err
			}
		case <-p.control.logs:
			retry.Stop()
		case <-retry.C:
		}
	}
}

// push brings the gateway up to date; trouble: some of it is to be tried again.
func (p *pusher) push(ctx context.Context) (trouble bool, err error) {
	for range maxRounds {
		w, known := p.wanted()
		if !known {
			return false, nil
		}
		problems := p.settle(ctx, &w)
		again, err := p.apply(ctx, w, problems)
		if err != nil {
			return false, err
		}
		if again {
			continue
		}
		reported := p.report(ctx, w, problems)
		return !reported || len(problems) > 0, ctx.Err()
	}
	return true, nil
}

// wanted is what the documents ask for; false: nothing was read yet.
func (p *pusher) wanted() (w wire.Snapshot, known bool) {
	var hints map[string][]string
	if p.hint {
		hints = p.control.hints()
	}
	known = p.control.view.with(func(d documents) {
		w = build(d, hints)
		p.control.addMetadata(&w, d)
		w.HostPaths, w.AffinityKey = p.control.o.HostPaths, p.control.o.AffinityKey
		p.control.addOrdered(&w)
	})
	return w, known
}

// report writes what became of the balancers; false: it is to be tried again.
func (p *pusher) report(ctx context.Context, w wire.Snapshot, problems map[string]problem) bool {
	err := p.control.report(ctx, w, problems)
	if err == nil {
		err = p.control.reportLogs(ctx)
	}
	if err == nil {
		p.warned = ""
		return true
	}
	if text := err.Error(); text != p.warned && ctx.Err() == nil {
		p.warned = text // once: it is tried again each second
		p.control.o.Logger.Warn("The status of a load balancer could not be written", "error", err)
	}
	return false
}

// apply sends the snapshot, unless the gateway has it; again: it is worth
// building it anew, because it became different or an address became free.
func (p *pusher) apply(ctx context.Context, w wire.Snapshot, problems map[string]problem) (again bool, err error) {
	content := contentOf(w)
	c := p.control
	if p.sent != nil && bytes.Equal(content, p.sent) {
		p.confirm(w.Generation)
		return false, nil
	}
	a := wire.Apply{Epoch: p.link.epoch, Snapshot: w, New: missing(w.Sockets, p.link.known)}
	files, err := c.book.files(a.New)
	if err != nil {
		return false, err
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var done wire.Applied
	if !p.link.foreign {
		if _, err := p.link.calls.Call(call, wire.OpApply, a, &done, files...); err != nil {
			return false, err
		}
	}
	p.link.known, p.sent = w.Sockets, nil
	if p.learn(w, done.Errors) {
		return true, nil // what the gateway refused is replaced by what it had, or left out
	}
	if err := p.tellElder(ctx, w); err != nil {
		return false, err
	}
	p.sent, p.last = content, w
	closed := c.book.keep(w.Sockets)
	hinted := p.hint
	p.hint = false
	p.confirm(w.Generation)
	return closed && len(problems) > 0 || hinted, nil
}

// confirm notes that every gateway routes by what the documents say at revision.
func (p *pusher) confirm(revision int64) {
	if p.link.foreign {
		return // only its successor will
	}
	if p.elder != nil && p.elder.mute() && !p.elder.ended() {
		revision = 0 // nobody knows what it routes by
	}
	p.control.confirm(p.last.Generation, revision)
}

// learn notes what the gateway applied and what it refused, which is no good to
// fall back on either; refused: there was some.
func (p *pusher) learn(w wire.Snapshot, errs map[string]string) (refused bool) {
	for _, b := range w.Balancers {
		content := balancerContent(b)
		if why, bad := errs[b.Name]; bad {
			refused = true
			p.refused[content] = refusal{why, time.Now()}
			if good, ok := p.good[b.Name]; ok && balancerContent(good) == content {
				delete(p.good, b.Name)
			}
			continue
		}
		b.Up = nil
		p.good[b.Name] = b
	}
	return refused
}

func missing(wanted, known []wire.Socket) (list []wire.Socket) {
	have := map[wire.Socket]bool{}
	for _, s := range known {
		have[s] = true
	}
	for _, s := range wanted {
		if !have[s] {
			list = append(list, s)
		}
	}
	return list
}

// contentOf is what two snapshots are compared by: all but the generation.
func contentOf(w wire.Snapshot) []byte {
	w.Generation = 0
	raw, err := json.Marshal(w)
	if err != nil {
		return nil // never equal: it is sent, and the call says what is wrong
	}
	return raw
}

func balancerContent(b wire.Balancer) string {
	b.Up = nil
	return string(contentOf(wire.Snapshot{Balancers: []wire.Balancer{b}}))
}
