package accesslog

import (
	"time"
)

// run writes what gathers, until the log is closed.
func (l *Log) run() {
	defer close(l.done)
	w := writer{log: l}
	defer w.file.close()
	for !l.closed() {
		select {
		case <-l.wake:
		case <-l.quit:
		}
		for wait := flushEvery; l.waiting() || len(w.left) > 0; {
			l.pause(wait)
			if l.closed() {
				break
			}
			if wait = flushEvery; !w.flush() {
				wait = retryEvery
			}
		}
	}
	for range 2 { // what was tried before, and what came since
		if !w.flush() {
			l.logger.Warn("Lines of an access log are lost", "balancer", l.balancer)
			return
		}
	}
}

// waiting says whether there is something to do for the writer.
func (l *Log) waiting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.pending) > 0 || l.moved
}

func (l *Log) closed() bool {
	select {
	case <-l.quit:
		return true
	default:
		return false
	}
}

// pause lets lines gather; not for as long when there are many, or it is to end.
func (l *Log) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.many:
	case <-l.quit:
	}
}

// take is what has gathered, and where it goes. What was dropped came after it.
func (l *Log) take() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	batch := l.pending
	l.pending = nil // so that the next line wakes the writer
	if l.untold > 0 {
		batch = l.appendDropped(batch, time.Now(), l.untold)
		l.untold = 0
	}
	return batch
}

// maxSpare is the memory that is kept for the next lines; a burst's is not.
const maxSpare = 1 << 20

func (l *Log) giveBack(batch []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if batch != nil && cap(batch) <= maxSpare {
		l.spare = batch[:0]
	}
}

func (l *Log) where() *Target {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.moved = false
	return l.target
}

// note remembers how writing went, and tells of it when that is news.
func (l *Log) note(err error) {
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	l.mu.Lock()
	news := l.problem != problem
	l.problem = problem
	dropped := l.dropped
	l.mu.Unlock()
	switch {
	case news && problem != "":
		l.logger.Warn("An access log cannot be written", "balancer", l.balancer, "error", problem)
	case news:
		l.logger.Info("An access log is written again", "balancer", l.balancer, "dropped", dropped)
	}
}

// writer is what run alone has.
type writer struct {
	log   *Log
	file  file
	batch []byte // whole lines, as they were taken
	left  []byte // of it, to be written
}

// flush writes what has gathered. It is false when that is to be tried again.
func (w *writer) flush() (done bool) {
	target := w.log.where()
	if target == nil {
		w.left = nil
		w.file.close()
		w.log.take()
		w.log.note(nil)
		return true
	}
	if len(w.left) == 0 {
		w.log.giveBack(w.batch)
		w.batch = w.log.take()
		w.left = w.batch
	}
	n, err := w.file.write(*target, w.left)
	w.left = w.left[n:]
	w.log.note(err)
	return err == nil
}
