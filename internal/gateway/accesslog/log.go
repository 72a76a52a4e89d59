package accesslog

import (
	"log/slog"
	"sync"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

const (
	// flushEvery is how long lines gather before they are written, unless there are many.
	flushEvery = 50 * time.Millisecond
	flushFrom  = 128 << 10
	// maxPending bounds the lines that wait for the disk.
	maxPending = 4 << 20
	// retryEvery is how soon a file that could not be written is tried again.
	retryEvery = time.Second
	// closeWait is how long a closing log waits for its file.
	closeWait = 2 * time.Second
)

// Options are what a process gives to all its logs.
type Options struct {
	// Secret says whether a value of that name is a secret; TokenPrefix is what
	// tokens begin with, wherever they are. Neither is ever written.
	Secret      func(name string) bool
	TokenPrefix string
	Logger      *slog.Logger
}

// Target is where a log is written.
type Target struct {
	resource.AccessLog
	Paths resource.HostPaths
}

// Log is the access log of one load balancer.
type Log struct {
	balancer string
	secrets  secrets
	logger   *slog.Logger
	wake     chan struct{} // holds one signal: there is something to do
	many     chan struct{} // the same: at once
	quit     chan struct{}
	end      sync.Once // closes quit
	done     chan struct{}

	mu      sync.Mutex
	target  *Target // nil: nothing is kept
	moved   bool    // the writer has not seen target
	pending []byte  // whole lines
	spare   []byte  // memory for the next pending ones
	dropped uint64  // all in all
	untold  uint64  // of these, since the last line that said so
	problem string  // why lines are not written; empty: they are
}

// New begins a log, which keeps nothing until it is told where. It is to be closed.
func New(balancer string, o Options) *Log {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Log{
		balancer: balancer, secrets: secrets{o.Secret, []byte(o.TokenPrefix)}, logger: o.Logger,
		wake: make(chan struct{}, 1), many: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	go l.run()
	return l
}

// Configure says where lines are written from now on; nil: nowhere.
func (l *Log) Configure(t *Target) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.target, l.moved = t, true
	signal(l.wake)
}

// Status says how many lines were dropped, and why none is written at the moment.
func (l *Log) Status() (dropped uint64, problem string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped, l.problem
}

// Close writes what is left, if that is possible soon.
func (l *Log) Close() {
	l.end.Do(func() { close(l.quit) })
	t := time.NewTimer(closeWait)
	defer t.Stop()
	select {
	case <-l.done:
	case <-t.C: // the disk does not answer: the goroutine ends when it does, or with the process
	}
}

var lines = sync.Pool{New: func() any { return new([]byte) }}

// Append adds an entry. It never waits.
func (l *Log) Append(e *Entry) {
	line := lines.Get().(*[]byte)
	*line = l.appendLine((*line)[:0], e)
	l.add(*line)
	lines.Put(line)
}

func (l *Log) add(line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch n := len(l.pending) + len(line); {
	case l.target == nil:
	case n > maxPending:
		l.dropped++
		l.untold++
	default:
		if l.pending == nil {
			l.pending, l.spare = l.spare, nil
		}
		if len(l.pending) == 0 {
			signal(l.wake)
		}
		if n >= flushFrom && len(l.pending) < flushFrom {
			signal(l.many)
		}
		l.pending = append(l.pending, line...)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
