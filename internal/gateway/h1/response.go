package h1

// Response is the head of an answer.
type Response struct {
	Head
	Status int
	Reason []byte
}

// Reset forgets a message, even one that has come in part, and the buffer it is in.
func (r *Response) Reset() {
	r.Head.Reset()
	*r = Response{Head: r.Head}
}

// Parse reads a head as [Request.Parse] does. The answer is one to a HEAD, or not.
// A 101's connection has become something else; the caller sees to whether it was
// asked for.
func (r *Response) Parse(buf []byte, l *Limits, toHEAD bool) (n int, err error) {
	n, err = r.search(buf, l)
	if err == nil && n == 0 {
		return 0, nil
	}
	if err == nil {
		err = r.read(buf, toHEAD)
	}
	return r.finish(n, err)
}

func (r *Response) read(buf []byte, toHEAD bool) error {
	if len(r.section.ends) == 0 {
		return errStatusLine
	}
	if err := r.readLine(r.section.line(buf, 0)); err != nil {
		return err
	}
	if err := r.readFields(buf); err != nil {
		return err
	}
	r.Upgrade = r.onlyUpgrade()
	n, err := r.bodyLength(LengthUntilClose)
	r.Length = n
	switch {
	case err != nil:
		return err
	case r.Status < 200 || r.Status == 204:
		// A body is announced that must not be there (RFC 9112 §6.1, RFC 9110 §8.6):
		// if it comes all the same, it must not be read as the next answer.
		r.Close = r.Close || n == LengthChunked || n > 0
		r.Length = 0
	case toHEAD || r.Status == 304:
		r.Length = 0
	case n == LengthUntilClose:
		r.Close = true
	}
	return nil
}

// readLine reads a status line (RFC 9112 §4). Many leave out the space after the
// code when no reason follows.
func (r *Response) readLine(line []byte) (err error) {
	const code, reason = len("HTTP/1.1 "), len("HTTP/1.1 200 ")
	if len(line) < reason-1 || line[code-1] != ' ' || len(line) >= reason && line[reason-1] != ' ' {
		return errStatusLine
	}
	if r.Minor, err = version(line[:code-1]); err != nil {
		return err
	}
	r.Status = int(number(line[code : reason-1]))
	r.Reason = line[min(reason, len(line)):]
	if r.Status < 100 || !validText(r.Reason) {
		return errStatusLine
	}
	return nil
}
