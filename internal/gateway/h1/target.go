package h1

import "bytes"

var slash, asterisk = []byte("/"), []byte("*") // never written to

// readTarget tells the forms of a target apart (RFC 9112 §3.2).
func (r *Request) readTarget() error {
	t := r.Target
	r.Path, r.Query, r.Host = nil, nil, nil
	switch {
	case len(t) == 0 || !all(t, isTarget):
		return errTarget
	case string(r.Method) == "CONNECT":
		if !validHost(t) || t[len(t)-1] == ']' || bytes.IndexByte(t, ':') < 0 {
			return errTarget
		}
		r.Host = t
		return nil
	case t[0] == '/':
		return r.setPath(t)
	case string(t) == "*" && string(r.Method) == "OPTIONS":
		r.Path = t
		return nil
	}
	return r.readAbsolute(t)
}

func (r *Request) readAbsolute(t []byte) error {
	switch {
	case hasPrefixFold(t, "http://"):
		t = t[len("http://"):]
	case hasPrefixFold(t, "https://"):
		t = t[len("https://"):]
	default:
		return errTarget
	}
	end := 0
	for end < len(t) && t[end] != '/' && t[end] != '?' {
		end++
	}
	r.Host = t[:end]
	if !validHost(r.Host) {
		return errTarget
	}
	return r.setPath(t[end:])
}

func (r *Request) setPath(t []byte) error {
	r.Path = t
	if i := bytes.IndexByte(t, '?'); i >= 0 {
		r.Path, r.Query = t[:i], t[i:]
	}
	if !validEscapes(r.Path) {
		return errTarget
	}
	if len(r.Path) > 0 {
		return nil
	}
	r.Path = slash
	if len(r.Query) == 0 && string(r.Method) == "OPTIONS" {
		r.Path = asterisk // RFC 9112 §3.2.4
	}
	return nil
}

func validEscapes(path []byte) bool {
	for {
		i := bytes.IndexByte(path, '%')
		if i < 0 {
			return true
		}
		if i+2 >= len(path) || class[path[i+1]]&class[path[i+2]]&isHex == 0 {
			return false
		}
		path = path[i+3:]
	}
}

// validHost takes a name, an IPv4 address or an IPv6 address in brackets, with or
// without a port.
func validHost(s []byte) bool {
	n := span(s, isName)
	if n == 0 {
		n = bytes.IndexByte(s, ']') + 1
		if n == 0 || s[0] != '[' || !validIPv6(s[1:n-1]) {
			return false
		}
	}
	if n == len(s) {
		return true
	}
	port := number(s[n+1:])
	return s[n] == ':' && 0 <= port && port <= 65535 && len(s)-n <= len(":65535")
}

// validIPv6 takes eight groups, or fewer with a gap. The form that ends like an
// IPv4 address is refused: no program writes it in a URL.
func validIPv6(s []byte) bool {
	groups, gap := 0, false
	for len(s) > 0 {
		if !gap && len(s) >= 2 && string(s[:2]) == "::" {
			gap, s = true, s[1:]
			if len(s) == 1 {
				return groups < 8
			}
		}
		if groups > 0 || gap {
			if s[0] != ':' {
				return false
			}
			s = s[1:]
		}
		n := span(s, isHex)
		if n == 0 || n > 4 {
			return false
		}
		groups, s = groups+1, s[n:]
	}
	return groups == 8 && !gap || groups < 8 && gap
}
