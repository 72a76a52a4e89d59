package proxy

// hold makes l what Interrupt breaks.
func (x *exchange) hold(l link) link {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.link, x.stream = l, nil
	if x.broken || x.cause != nil {
		l.interrupt()
	}
	return l
}

// become makes s what Interrupt ends.
func (x *exchange) become(s *stream) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stream = s
	if x.broken || x.cause != nil {
		s.interrupt()
	}
}

// letGo ends Interrupt's power over the attempt, and says whether it was used.
func (x *exchange) letGo() (broken bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.link, x.stream = nil, nil
	return x.broken || x.cause != nil
}

// Interrupt makes the attempt in progress fail, or its stream end in order.
func (x *exchange) Interrupt() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.interrupt()
}

func (x *exchange) interrupt() {
	x.broken = true
	switch {
	case x.stream != nil:
		x.stream.interrupt()
	case x.link != nil:
		x.link.interrupt()
	}
}

// end ends the request, whatever it is waiting for. The first cause counts.
func (x *exchange) end(cause error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cause != nil {
		return
	}
	x.cause = cause
	if x.cancel != nil {
		x.cancel(cause)
	}
	x.interrupt()
}

// ended is why the request was ended, or nil.
func (x *exchange) ended() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.cause
}
