package h2

import (
	"bytes"
	"errors"

	"github.com/droverhq/drover/internal/gateway/h1"
)

// errTooLarge is answered to who sends more than the limit.
var errTooLarge = &h1.Error{Status: 431, Reason: "the header fields are too large"}

// pseudo are the fields of a request that say what it is for (RFC 9113 §8.3.1).
type pseudo struct{ method, scheme, authority, path []byte }

// understand reads the request that the fields are. False: it is malformed, and
// nobody is to answer it (RFC 9113 §8.1.1). What is against the rules that are also
// those of HTTP/1.1 is refused with an answer.
func (s *Stream) understand(end bool) bool {
	if s.head.large {
		s.Refused = errTooLarge
		return true
	}
	var p pseudo
	fields, ok := p.take(s.head.fields)
	if !ok || !p.complete() {
		return false
	}
	if fields, ok = regular(fields, p.authority); !ok {
		return false
	}
	target := p.path
	if string(p.method) == "CONNECT" {
		target = p.authority
	}
	err := s.Request.Assemble(p.method, target, fields)
	if refused, ok := errors.AsType[*h1.Error](err); ok {
		s.Refused = refused
		return true
	}
	if s.Request.Length >= 0 {
		s.declared = s.Request.Length
	}
	if end {
		s.Request.Length = 0
		return s.declared <= 0
	}
	return true
}

// take takes the pseudo-fields off the beginning. False: one is unknown, or comes twice.
func (p *pseudo) take(fields []h1.Field) (rest []h1.Field, ok bool) {
	for i := range fields {
		f := &fields[i]
		if len(f.Name) == 0 || f.Name[0] != ':' {
			return fields[i:], true
		}
		to := p.named(f.Name)
		if to == nil || *to != nil {
			return nil, false
		}
		*to = f.Value
		if f.Value == nil {
			*to = []byte{}
		}
	}
	return nil, true
}

func (p *pseudo) named(name []byte) *[]byte {
	switch string(name) {
	case ":method":
		return &p.method
	case ":scheme":
		return &p.scheme
	case ":authority":
		return &p.authority
	case ":path":
		return &p.path
	}
	return nil
}

// complete says whether those are there that must be, and nothing in them that
// HTTP/1.1 could not carry.
func (p *pseudo) complete() bool {
	for _, v := range [][]byte{p.method, p.scheme, p.authority, p.path} {
		for _, c := range v {
			if c <= ' ' || c == 0x7f {
				return false
			}
		}
	}
	switch {
	case len(p.method) == 0:
		return false
	case string(p.method) == "CONNECT":
		return p.scheme == nil && p.path == nil && len(p.authority) > 0
	case string(p.scheme) != "http" && string(p.scheme) != "https":
		return false
	}
	return len(p.path) > 0 && (p.path[0] == '/' || string(p.path) == "*" && string(p.method) == "OPTIONS")
}

// regular checks the other fields, and makes of them what they would be in HTTP/1.1:
// with a Host, and with one Cookie. False: they are malformed.
func regular(fields []h1.Field, authority []byte) (kept []h1.Field, ok bool) {
	kept = fields[:0]
	var host, cookie []byte
	for i := range fields {
		f := fields[i]
		if !wellFormed(&f) || connectionSpecific(&f) {
			return nil, false
		}
		switch string(f.Name) {
		case "host":
			if host != nil || authority != nil && !bytes.EqualFold(f.Value, authority) {
				return nil, false
			}
			host = f.Value
		case "cookie":
			cookie = crumb(cookie, f.Value)
			continue
		case "content-length":
			if len(f.Value) == 0 {
				return nil, false
			}
		}
		kept = append(kept, f)
	}
	if host == nil {
		if len(authority) == 0 {
			return nil, false
		}
		kept = append(kept, h1.Field{Name: hostName, Value: authority})
	}
	if cookie != nil {
		kept = append(kept, h1.Field{Name: cookieName, Value: cookie})
	}
	return kept, true
}

var hostName, cookieName = []byte("host"), []byte("cookie") // never written to

// crumb joins a piece of the Cookie field to those before (RFC 9113 §8.2.3).
func crumb(cookie, piece []byte) []byte {
	switch {
	case len(piece) == 0:
		return cookie
	case cookie == nil:
		return piece[:len(piece):len(piece)]
	}
	return append(append(cookie, "; "...), piece...)
}

// wellFormed says whether a field may be in a message, wherever it goes (RFC 9113
// §8.2.1): pseudo-fields are not among those.
func wellFormed(f *h1.Field) bool {
	for _, c := range f.Name {
		if 'A' <= c && c <= 'Z' {
			return false
		}
	}
	if n := len(f.Value); n > 0 && (blank(f.Value[0]) || blank(f.Value[n-1])) {
		return false
	}
	return h1.Valid(f.Name, f.Value)
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// connectionSpecific says whether a field speaks of a connection of HTTP/1.1
// (RFC 9113 §8.2.2).
func connectionSpecific(f *h1.Field) bool {
	switch string(f.Name) {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return true
	case "te":
		return string(f.Value) != "trailers"
	}
	return false
}
