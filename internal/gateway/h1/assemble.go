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
	r.Fields, r.length, r.coding, r.options = append(r.Fields[:0], fields...), nil, nil, options{}
	for i := range r.Fields {
		f := &r.Fields[i]
		if err := f.classify(); err != nil {
			return err
		}
		if err := r.heed(f); err != nil {
			return err
		}
	}
	if err := r.heedFields(); err != nil {
		return err
	}
	n, err := r.bodyLength(LengthChunked)
	r.Length = n
	return err
}

// Valid says whether a name and a value can be a field's.
func Valid(name, value []byte) bool {
	return len(name) > 0 && all(name, isToken) && validText(value)
}
