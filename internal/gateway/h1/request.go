package h1

import "bytes"

// maxMethod is longer than any method that is registered.
const maxMethod = 32

// Request is the head of a request.
type Request struct {
	Head
	Method []byte
	Target []byte // as it came
	// Path and Query are what a backend is asked for, the path with its escapes
	// and never empty, the query with its question mark. A CONNECT has neither.
	Path, Query []byte
	// Host is the target's, where it names one (RFC 9112 §3.2.2), else that of the
	// Host field. It is empty only in HTTP/1.0.
	Host []byte
	// Expect100: the client waits for a 100 before it sends the body.
	Expect100 bool
	// Trailers: the client takes trailers.
	Trailers bool
}

// Reset forgets a message, even one that has come in part, and the buffer it is in.
func (r *Request) Reset() {
	r.Head.Reset()
	*r = Request{Head: r.Head}
}

// Parse reads a head from the beginning of buf, and returns its length; 0 without
// an error: it has not come completely. It must then be called again with the same
// bytes, wherever they are, and more behind them. The error is always an *Error.
func (r *Request) Parse(buf []byte, l *Limits) (n int, err error) {
	n, err = r.search(buf, l)
	if n > 0 && len(r.section.ends) == 0 && r.section.begin == 0 {
		r.section.begin = n // RFC 9112 §2.2: one empty line may come before the first
		n, err = r.search(buf, l)
	}
	if n == 0 && err == nil {
		return 0, nil
	}
	if err == nil {
		err = r.read(buf)
	}
	return r.finish(n, err)
}

func (r *Request) read(buf []byte) (err error) {
	if len(r.section.ends) == 0 {
		return errRequestLine
	}
	if err := r.readLine(r.section.line(buf, 0)); err != nil {
		return err
	}
	if err := r.readFields(buf); err != nil {
		return err
	}
	if err := r.heedFields(); err != nil {
		return err
	}
	if r.Length, err = r.bodyLength(0); err != nil {
		return err
	}
	r.Upgrade = nil
	if r.options.upgrade && r.Minor > 0 && r.Length == 0 { // RFC 9110 §7.8
		if u := r.onlyUpgrade(); !has(u, "h2c") { // what hides behind h2c would pass every rule by
			r.Upgrade = u
		}
	}
	return nil
}

// readLine reads a request line (RFC 9112 §3): exactly one space between its parts.
func (r *Request) readLine(line []byte) (err error) {
	n := span(line, isToken)
	last := bytes.LastIndexByte(line, ' ')
	if n == 0 || n >= last || line[n] != ' ' {
		return errRequestLine
	}
	if n > maxMethod {
		return errMethod
	}
	if r.Minor, err = version(line[last+1:]); err != nil {
		return err
	}
	r.Method, r.Target = line[:n], line[n+1:last]
	return r.readTarget()
}

// heedFields reads the fields that only requests have.
func (r *Request) heedFields() error {
	r.Expect100, r.Trailers = false, false
	hosts := 0
	for i := range r.Fields {
		f := &r.Fields[i]
		switch f.Kind {
		case Host:
			if hosts++; hosts > 1 {
				return errTwoHosts
			}
			if !validHost(f.Value) {
				return errHost
			}
			if r.Host == nil {
				r.Host = f.Value
			}
		case Expect: // RFC 9110 §10.1.1: not of HTTP/1.0
			r.Expect100 = r.Expect100 || r.Minor > 0 && has(f.Value, "100-continue")
		case TE:
			r.Trailers = r.Trailers || has(f.Value, "trailers")
		}
	}
	if hosts == 0 && r.Minor > 0 {
		return errNoHost
	}
	return nil
}
