package resource

import (
	"net/mail"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// LoadBalancerTLS has a load balancer speak HTTPS.
type LoadBalancerTLS struct {
	// Certificates are served by the name that a client asks for; the first one to who asks for another or none.
	Certificates []CertificateFiles `json:"certificates,omitempty"`
	// ACME orders certificates from a certificate authority, and renews them.
	ACME *ACME `json:"acme,omitempty"`
	// RedirectFrom is HOST:PORT where clients of plain HTTP are sent to HTTPS.
	RedirectFrom string `json:"redirectFrom,omitempty"`
}

// CertificateFiles are PEM files of the machine: a chain, the certificate itself
// first, and its key. One file may hold both.
type CertificateFiles struct {
	CertFile string `json:"certFile"`
	KeyFile  string `json:"keyFile"`
}

// ACME says whom to order certificates from, and for which names. Each name gets
// one of its own. That the names are ours is shown by tls-alpn-01: the authority
// connects to port 443 of each, which must lead to where the load balancer listens.
type ACME struct {
	Email string `json:"email,omitempty"` // whom the authority writes to
	// Directory is the authority's URL; empty: Let's Encrypt.
	Directory string   `json:"directory,omitempty"`
	Names     []string `json:"names"`
}

// CertificateStatus is what a load balancer serves of one certificate.
type CertificateStatus struct {
	// Source is the field that names it.
	Source string   `json:"source"`
	Names  []string `json:"names,omitempty"`
	// NotBefore and NotAfter are when it is valid; absent: none is served.
	NotBefore *time.Time `json:"notBefore,omitempty"`
	NotAfter  *time.Time `json:"notAfter,omitempty"`
	// Problem is why what is in the files now is not served.
	Problem string `json:"problem,omitempty"`
}

// ConditionOrdered is true when every certificate that is ordered by ACME was issued
// and is not due, and false with what the authority said of which name.
const ConditionOrdered = "CertificatesOrdered"

// ConditionCertificates is true when everything that TLS needs is served and will
// be valid for a while, and false with what is the matter. Without TLS it is not there.
const ConditionCertificates = "Certificates"

const maxCertificates = 100

func (t *LoadBalancerTLS) validate(c *checker, listen string) {
	switch {
	case t.RedirectFrom == "":
	case t.RedirectFrom == listen && !strings.HasSuffix(listen, ":0"):
		c.add("/spec/tls/redirectFrom", "%s is where HTTPS is served: plain HTTP needs another port", quote(listen))
	default:
		c.checkAddress("/spec/tls/redirectFrom", t.RedirectFrom, 0)
	}
	if t.ACME != nil {
		t.ACME.validate(c)
	}
	const at = "/spec/tls/certificates"
	switch n := len(t.Certificates); {
	case n == 0 && t.ACME == nil:
		c.add("/spec/tls", "expected certificates, for example certificates: [{certFile: /etc/drover/tls/site.crt, keyFile: /etc/drover/tls/site.key}], or acme: {names: [shop.example]}")
	case n > maxCertificates:
		c.add(at, "expected at most %d certificates, not %d", maxCertificates, n)
		return
	}
	first := map[CertificateFiles]int{}
	for i, f := range t.Certificates {
		here := pointerTo(at, itoa(i))
		if j, double := first[f]; double {
			c.add(here, "is there already, as item %d", j)
			continue
		}
		first[f] = i
		c.checkHostPath(here+"/certFile", f.CertFile, "/etc/drover/tls/site.crt")
		c.checkHostPath(here+"/keyFile", f.KeyFile, "/etc/drover/tls/site.key")
	}
}

func (a *ACME) validate(c *checker) {
	const at = "/spec/tls/acme"
	if a.Email != "" {
		if m, err := mail.ParseAddress(a.Email); err != nil || m.Address != a.Email {
			c.add(at+"/email", "%s is not an e-mail address", quote(a.Email))
		}
	}
	if a.Directory != "" {
		if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
			c.add(at+"/directory", "%s is not an authority's URL: write for example https://acme-v02.api.letsencrypt.org/directory, or leave it out", quote(a.Directory))
		}
	}
	if n := len(a.Names); n == 0 || n > maxCertificates {
		c.add(at+"/names", "expected 1 to %d names, for example [shop.example], not %d", maxCertificates, n)
		return
	}
	first := map[string]int{}
	for i, name := range a.Names {
		here := pointerTo(at+"/names", itoa(i))
		if j, double := first[name]; double {
			c.add(here, "%s is there already, as item %d", quote(name), j)
			continue
		}
		first[name] = i
		checkOrderedName(c, here, name)
	}
}

func checkOrderedName(c *checker, at, name string) {
	_, err := netip.ParseAddr(name)
	switch {
	case strings.HasPrefix(name, "*."):
		c.add(at, "%s: that a whole domain is ours cannot be shown by tls-alpn-01: write each name, or give a certificate in certificates", quote(name))
	case strings.ToLower(name) != name:
		c.add(at, "%s has capital letters: write %s", quote(name), strings.ToLower(name))
	case err == nil:
		c.add(at, "%s is an address: certificates are ordered for names", quote(name))
	case len(name) > 253 || !hostName.MatchString(name) || strings.Contains(name, "_"):
		c.add(at, "%s is not a host's name: write for example shop.example", quote(name))
	}
}

// hostFiles are the files that TLS is served with.
func (t *LoadBalancerTLS) hostFiles() (files []HostFile) {
	if t == nil {
		return nil
	}
	for i, f := range t.Certificates {
		at := pointerTo("/spec/tls/certificates", itoa(i))
		files = append(files, HostFile{Pointer: at + "/certFile", Path: f.CertFile}, HostFile{Pointer: at + "/keyFile", Path: f.KeyFile})
	}
	return files
}
