package h1

// Assemble reads a request that came otherwise than as text, by the rules that are
// in force for one of HTTP/1.1: whichever way it came, it is understood alike. The
// fields, of which one is Host, have names and values. Without a Content-Length the
// body's length is LengthChunked. The error is always an *Error.
func (r *Request) Assemble(method, target []byte, fields []Field) error {
	r.Minor, r.Method, r.Target = 1, method, target
	switch {
	case len(method) == 0 || !all(method, isToken):
		return errRequestLine
	case len(method) > maxMethod:
		return errMethod
	}
	if err := r.readTarget(); err != nil {
		return err
	}
	if err := r.assemble(fields); err != nil {
		return err
	}
	if err := r.heedFields(); err != nil {
		return err
	}
	n, err := r.bodyLength(LengthChunked)
	r.Length = n
	return err
}

// Assemble is [Request.Assemble] for an answer: without a Content-Length its body's
// length is LengthChunked.
func (r *Response) Assemble(status int, fields []Field, toHEAD bool) error {
	r.Minor, r.Status, r.Reason = 1, status, nil
	if err := r.assemble(fields); err != nil {
		return err
	}
	n, err := r.bodyLength(LengthChunked)
	r.Length = n
	if toHEAD || status < 200 || status == 204 || status == 304 {
		r.Length = 0
	}
	return err
}

func (h *Head) assemble(fields []Field) error {
	h.Fields, h.length, h.coding, h.options = append(h.Fields[:0], fields...), nil, nil, options{}
	for i := range h.Fields {
		f := &h.Fields[i]
		if err := f.classify(); err != nil {
			return err
		}
		if err := h.heed(f); err != nil {
			return err
		}
	}
	return nil
}

// Valid says whether a name and a value can be a field's.
func Valid(name, value []byte) bool {
	return len(name) > 0 && all(name, isToken) && validText(value)
}
