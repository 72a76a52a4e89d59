package proxy

import (
	"bytes"
	"net"
	"net/netip"

	"github.com/droverhq/drover/internal/gateway/h1"
	"github.com/droverhq/drover/internal/resource"
)

var sessionCookie = []byte(resource.SessionCookie)

// sender is who a request came from.
type sender struct {
	address netip.Addr
	trusted bool   // it may say whom it forwards for
	secure  bool   // it came by TLS
	tls     string // its version, for the access log
}

// appendRequest appends the head of a request that a backend is to see.
func appendRequest(dst []byte, r *h1.Request, from sender) []byte {
	dst = h1.AppendRequestLine(dst, r.Method, r.Path, r.Query)
	dst = h1.AppendField(dst, "Host", r.Host)
	sized := false
	for i := range r.Fields {
		switch f := &r.Fields[i]; {
		case f.Kind == h1.ContentLength:
			sized = true
		case f.Hop || dropped(f.Kind, from.trusted):
		case f.Kind == h1.Cookie && bytes.Contains(f.Value, sessionCookie):
			dst = appendCookie(dst, f.Value)
		default:
			dst = h1.AppendField(dst, f.Name, f.Value)
		}
	}
	dst = appendForwarded(dst, r, from)
	if r.Trailers {
		dst = append(dst, "Te: trailers\r\n"...)
	}
	if r.Upgrade != nil {
		dst = append(dst, "Connection: Upgrade\r\n"...)
		dst = h1.AppendField(dst, "Upgrade", r.Upgrade)
	}
	if r.Expect100 && r.Length != 0 {
		dst = append(dst, "Expect: 100-continue\r\n"...)
	}
	if sized || r.Length != 0 {
		dst = h1.AppendLength(dst, r.Length)
	}
	if r.Length == h1.LengthChunked {
		for i := range r.Fields {
			if r.Fields[i].Kind == h1.Trailer {
				dst = appendTrailerNames(dst, r.Fields[i].Value)
			}
		}
	}
	return h1.AppendEnd(dst)
}

// dropped fields are not passed on: they are ours to write, or the client's
// claims about whom it speaks for.
func dropped(k h1.Kind, trusted bool) bool {
	switch k {
	case h1.Host, h1.Expect, h1.Forwarded, h1.XForwardedFor, h1.XForwardedHost, h1.XForwardedProto:
		return true
	case h1.XForwarded:
		return !trusted
	}
	return false
}

func appendForwarded(dst []byte, r *h1.Request, from sender) []byte {
	dst = append(dst, "X-Forwarded-For: "...)
	dst = append(appendForwardedFor(dst, r, from), "\r\n"...)
	dst = h1.AppendField(dst, "X-Forwarded-Host", forwardedHost(r, from))
	return h1.AppendField(dst, "X-Forwarded-Proto", scheme(r, from))
}

// appendForwardedFor appends whom the request came from, over all proxies that are trusted.
func appendForwardedFor(dst []byte, r *h1.Request, from sender) []byte {
	if from.trusted {
		for i := range r.Fields {
			if f := &r.Fields[i]; f.Kind == h1.XForwardedFor {
				dst = append(append(dst, f.Value...), ", "...)
			}
		}
	}
	return from.address.AppendTo(dst)
}

// forwardedHost is whom the client asked, or did so by a proxy that is trusted.
func forwardedHost(r *h1.Request, from sender) []byte {
	if from.trusted {
		if v := first(r, h1.XForwardedHost); v != nil {
			return v
		}
	}
	return r.Host
}

var httpScheme, httpsScheme = []byte("http"), []byte("https") // never written to

// scheme is how the client sent the request, or said to by a proxy that is trusted.
func scheme(r *h1.Request, from sender) []byte {
	if from.trusted {
		if v := first(r, h1.XForwardedProto); v != nil {
			return v
		}
	}
	if from.secure {
		return httpsScheme
	}
	return httpScheme
}

// first is the value of the first field of a kind; nil: there is none.
func first(r *h1.Request, kind h1.Kind) []byte {
	for i := range r.Fields {
		if r.Fields[i].Kind == kind {
			return r.Fields[i].Value
		}
	}
	return nil
}

// appendCookie appends a Cookie field without the console's session.
func appendCookie(dst, v []byte) []byte {
	const name = "Cookie: "
	before := len(dst)
	dst = append(dst, name...)
	if dst = appendCookies(dst, v); len(dst) == before+len(name) {
		return dst[:before]
	}
	return append(dst, "\r\n"...)
}

// appendCookies appends the cookies but the console's session.
func appendCookies(dst, v []byte) []byte {
	separator := ""
	for pair := range bytes.SplitSeq(v, []byte(";")) {
		pair = bytes.TrimSpace(pair)
		name, _, _ := bytes.Cut(pair, []byte("="))
		if len(pair) > 0 && !bytes.Equal(bytes.TrimSpace(name), sessionCookie) {
			dst = append(append(dst, separator...), pair...)
			separator = "; "
		}
	}
	return dst
}

// appendTrailerNames appends a Trailer field with those of the list that may come.
func appendTrailerNames(dst, list []byte) []byte {
	const name = "Trailer: "
	before := len(dst)
	dst = append(dst, name...)
	if dst = appendTrailerList(dst, list); len(dst) == before+len(name) {
		return dst[:before]
	}
	return append(dst, "\r\n"...)
}

// appendTrailerList appends those names of the list that may come.
func appendTrailerList(dst, list []byte) []byte {
	separator := ""
	for name := range bytes.SplitSeq(list, []byte(",")) {
		if name = bytes.TrimSpace(name); h1.InTrailer(name) {
			dst = append(append(dst, separator...), name...)
			separator = ", "
		}
	}
	return dst
}

func trusts(prefixes []netip.Prefix, peer netip.Addr) bool {
	if len(prefixes) == 0 {
		return false
	}
	peer = peer.WithZone("")
	for _, p := range prefixes {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

// ParseTrusted reads networks and single addresses.
func ParseTrusted(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, aerr := netip.ParseAddr(s)
			if aerr != nil {
				return nil, &net.ParseError{Type: "network", Text: s}
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p.Masked())
	}
	return out, nil
}
