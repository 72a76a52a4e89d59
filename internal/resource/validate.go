package resource

import (
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	labelName = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_./]{0,126}[A-Za-z0-9])?$`)
	hostName  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9_]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9_]{0,61}[a-z0-9])?)*$`)
)

const (
	maxLabel      = 256
	maxAnnotation = 64 << 10
)

func (c *checker) checkMeta(m Meta) {
	c.addErr("/name", ValidateNameOf(m.Kind, m.Name))
	c.checkTexts("/labels", m.Labels, maxLabel)
	c.checkTexts("/annotations", m.Annotations, maxAnnotation)
}

func (c *checker) checkTexts(at string, texts map[string]string, most int) {
	for name, text := range sorted(texts) {
		here := pointerTo(at, name)
		if !labelName.MatchString(name) {
			c.add(here, "%s is not a key: use 1 to 128 of a-z, A-Z, 0-9, -, _, . and /, with a letter or digit at both ends", quote(name))
		}
		if len(text) > most || strings.ContainsRune(text, 0) {
			c.add(here, "the value is longer than %d bytes or has a NUL byte", most)
		}
	}
}

// checkRequestPath checks the path of a health check or probe.
func (c *checker) checkRequestPath(at, p string) {
	if p == "" {
		return
	}
	u, err := url.ParseRequestURI(p)
	if err != nil || p[0] != '/' || u.Host != "" || strings.ContainsAny(p, " #") {
		c.add(at, "%s is not a path: it begins with / and has no blanks, for example /healthz", quote(p))
	}
}

func (c *checker) checkRoutePath(at, p string) {
	if p == "" {
		return
	}
	if p[0] != '/' || strings.ContainsAny(p, "?# ") {
		c.add(at, "%s is not a path prefix: it begins with / and has no query, for example /api", quote(p))
	} else if clean := path.Clean(p); clean != p && clean != strings.TrimSuffix(p, "/") {
		c.add(at, "%s would match nothing: write %s", quote(p), clean)
	}
}

// checkAddress checks HOST:PORT with a port from least on.
func (c *checker) checkAddress(at, address string, least int) {
	host, port, err := splitAddress(address)
	switch {
	case err != nil:
		c.addErr(at, err)
	case port < least || port > 65535:
		c.add(at, "port %d is out of range: write %d to 65535", port, least)
	case host == "" && least > 0:
		c.add(at, "%s has no host: write for example 127.0.0.1:%d", quote(address), port)
	case host != "" && !isHost(host):
		c.add(at, "%s is neither an IP address nor a host's name", quote(host))
	}
}

func splitAddress(address string) (host string, port int, err error) {
	i := strings.LastIndexByte(address, ':')
	if i < 0 {
		return "", 0, fmt.Errorf("%s has no port: write HOST:PORT, for example 127.0.0.1:8080", quote(address))
	}
	host = address[:i]
	port, err = strconv.Atoi(address[i+1:])
	if err != nil || strconv.Itoa(port) != address[i+1:] {
		return "", 0, fmt.Errorf("%s has no port number: write HOST:PORT, for example 127.0.0.1:8080", quote(address))
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
		if a, err := netip.ParseAddr(host); err != nil || !a.Is6() {
			return "", 0, fmt.Errorf("%s is not an IPv6 address in brackets", quote(address[:i]))
		}
	} else if strings.Contains(host, ":") {
		return "", 0, fmt.Errorf("%s is ambiguous: put an IPv6 address in brackets, for example [::1]:8080", quote(address))
	}
	return host, port, nil
}

func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	name := strings.ToLower(host)
	return len(name) <= 253 && hostName.MatchString(name) && !isShortAddress(name)
}

// isShortAddress tells names from what some programs read as an IPv4 address: 127.1 or 0x7f000001.
func isShortAddress(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	_, err := strconv.ParseUint(last, 0, 64)
	return err == nil || strings.Trim(last, "0123456789") == ""
}

// sorted gives a map's entries in the order of their names, so that errors come in the same order every time.
func sorted(m map[string]string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if !yield(name, m[name]) {
				return
			}
		}
	}
}

func itoa(i int) string { return strconv.Itoa(i) }
