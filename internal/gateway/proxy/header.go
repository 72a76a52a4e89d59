package proxy

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"strconv"
	"strings"
)

// sessionCookie is the console's: no workload may see it.
const sessionCookie = "drover_session"

// hopByHop headers are between two neighbours (RFC 9110 §7.6.1); so are those
// that Connection names.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// connectionNames are the headers that Connection names, beyond the usual tokens.
func connectionNames(h http.Header) (names []string) {
	for _, v := range h["Connection"] {
		if v == "keep-alive" || v == "close" || v == "Upgrade" {
			continue
		}
		for token := range strings.SplitSeq(v, ",") {
			if token = strings.TrimSpace(token); token != "" {
				names = append(names, http.CanonicalHeaderKey(token))
			}
		}
	}
	return names
}

// restoreConnection puts the Connection header back, which net/http takes out of
// an answer that closes its connection, with all that it names.
func restoreConnection(resp *http.Response, head []byte) {
	if _, there := resp.Header["Connection"]; there {
		return
	}
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(head)))
	if _, err := r.ReadLine(); err != nil {
		return
	}
	if h, err := r.ReadMIMEHeader(); err == nil {
		resp.Header["Connection"] = h["Connection"]
	}
}

func hasToken(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

func named(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// upgradeOf is the protocol that a request wants its connection to become, or "".
func upgradeOf(r *http.Request) string {
	u := r.Header["Upgrade"]
	if len(u) != 1 || !r.ProtoAtLeast(1, 1) || r.ContentLength != 0 || !hasToken(r.Header["Connection"], "upgrade") ||
		hasToken(u, "h2c") { // a request hidden behind h2c would pass every rule by
		return ""
	}
	return u[0]
}

// requestHead is what is written of a request beside its own headers.
type requestHead struct {
	upgrade   string
	trusted   bool   // the peer may say whom it forwards for
	peer      string // its address, without the port
	length    int64  // of the body; -1: chunked
	expecting bool   // Expect: 100-continue
}

// writeHead writes the request line and the headers that a backend is to see.
func writeHead(w *bufio.Writer, r *http.Request, h requestHead) {
	w.WriteString(r.Method)
	w.WriteByte(' ')
	w.WriteString(target(r))
	w.WriteString(" HTTP/1.1\r\n")
	writeField(w, "Host", r.Host)
	names := connectionNames(r.Header)
	for name, values := range r.Header {
		if dropped(name, h.trusted) || len(names) > 0 && named(names, name) {
			continue
		}
		for _, v := range values {
			if name == "Cookie" {
				if v = withoutSession(v); v == "" {
					continue
				}
			}
			writeField(w, name, v)
		}
	}
	writeForwarded(w, r, h)
	if hasToken(r.Header["Te"], "trailers") {
		w.WriteString("Te: trailers\r\n")
	}
	if h.upgrade != "" {
		w.WriteString("Connection: Upgrade\r\n")
		writeField(w, "Upgrade", h.upgrade)
	}
	writeFraming(w, r, h)
	w.WriteString("\r\n")
}

func writeField(w *bufio.Writer, name, value string) {
	w.WriteString(name)
	w.WriteString(": ")
	w.WriteString(value)
	w.WriteString("\r\n")
}

// hasTarget says whether a request is for a path or for the server as a whole.
// What else there is would pass the routes by.
func hasTarget(r *http.Request) bool {
	if r.RequestURI == "*" {
		return r.Method == http.MethodOptions
	}
	return strings.HasPrefix(r.RequestURI, "/") || r.URL.Host != ""
}

// target is the request target as the client wrote it, in origin form.
func target(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") || r.RequestURI == "*" {
		return r.RequestURI
	}
	return r.URL.RequestURI()
}

// dropped headers are not passed on: they are ours to write, or the client's
// claims about whom it speaks for.
func dropped(name string, trusted bool) bool {
	switch name {
	case "Host", "Content-Length", "Expect", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto":
		return true
	}
	if hopByHop(name) {
		return true
	}
	if trusted || len(name) < len("Forwarded") {
		return false
	}
	// CGI and WSGI read X_Forwarded_For as X-Forwarded-For.
	if strings.IndexByte(name, '_') >= 0 {
		name = strings.ReplaceAll(name, "_", "-")
		return strings.EqualFold(name, "Forwarded") || hasPrefixFold(name, "X-Forwarded-")
	}
	return strings.HasPrefix(name, "X-Forwarded-")
}

// inTrailer says whether a header may also come after the body. What frames a
// message, says who speaks or is checked at its head may not: a program that
// adds trailers to the headers would believe it.
func inTrailer(name string) bool {
	switch name {
	case "Cookie", "Set-Cookie", "Authorization", "Www-Authenticate",
		"Content-Encoding", "Content-Type", "Content-Range", "Cache-Control", "Range", "Location":
		return false
	}
	return !dropped(name, false)
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func writeForwarded(w *bufio.Writer, r *http.Request, h requestHead) {
	w.WriteString("X-Forwarded-For: ")
	host, proto := r.Host, "http"
	if h.trusted {
		for _, v := range r.Header["X-Forwarded-For"] {
			w.WriteString(v)
			w.WriteString(", ")
		}
		host = firstOr(r.Header["X-Forwarded-Host"], host)
		proto = firstOr(r.Header["X-Forwarded-Proto"], proto)
	}
	w.WriteString(h.peer)
	w.WriteString("\r\n")
	writeField(w, "X-Forwarded-Host", host)
	writeField(w, "X-Forwarded-Proto", proto)
}

func firstOr(values []string, otherwise string) string {
	if len(values) > 0 {
		return values[0]
	}
	return otherwise
}

func writeFraming(w *bufio.Writer, r *http.Request, h requestHead) {
	if h.expecting {
		w.WriteString("Expect: 100-continue\r\n")
	}
	switch {
	case h.length < 0:
		w.WriteString("Transfer-Encoding: chunked\r\n")
		for name := range r.Trailer {
			if inTrailer(name) {
				writeField(w, "Trailer", name)
			}
		}
	case h.length > 0 || len(r.Header["Content-Length"]) > 0:
		w.WriteString("Content-Length: ")
		w.Write(strconv.AppendInt(w.AvailableBuffer(), h.length, 10))
		w.WriteString("\r\n")
	}
}

// withoutSession is a Cookie header without the console's session.
func withoutSession(v string) string {
	if !strings.Contains(v, sessionCookie) {
		return v
	}
	var kept []string
	for pair := range strings.SplitSeq(v, ";") {
		pair = strings.TrimSpace(pair)
		name, _, _ := strings.Cut(pair, "=")
		if pair != "" && strings.TrimSpace(name) != sessionCookie {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "; ")
}

// copyHead puts a backend's headers into the answer. The map is the backend's
// answer's own, so its values need no copy.
func copyHead(to, from http.Header) {
	names := connectionNames(from)
	for name, values := range from {
		if !hopByHop(name) && !named(names, name) {
			to[name] = values
		}
	}
	if _, ok := to["Content-Type"]; !ok {
		to["Content-Type"] = nil // or net/http would guess one
	}
}

// peerOf is a client's address without its port.
func peerOf(remote string) string {
	if i := strings.LastIndexByte(remote, ':'); i > 0 {
		return strings.Trim(remote[:i], "[]")
	}
	return remote
}

func trusts(prefixes []netip.Prefix, peer string) bool {
	if len(prefixes) == 0 {
		return false
	}
	a, err := netip.ParseAddr(peer)
	if err != nil {
		return false
	}
	a = a.Unmap().WithZone("")
	for _, p := range prefixes {
		if p.Contains(a) {
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
