package resource

import (
	"strings"
	"time"
)

// LoadBalancerTLS has a load balancer speak HTTPS.
type LoadBalancerTLS struct {
	// Certificates are served by the name that a client asks for; the first one to who asks for another or none.
	Certificates []CertificateFiles `json:"certificates,omitempty"`
	// RedirectFrom is HOST:PORT where clients of plain HTTP are sent to HTTPS.
	RedirectFrom string `json:"redirectFrom,omitempty"`
}

// CertificateFiles are PEM files of the machine: a chain, the certificate itself
// first, and its key. One file may hold both.
type CertificateFiles struct {
	CertFile string `json:"certFile"`
	KeyFile  string `json:"keyFile"`
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
	const at = "/spec/tls/certificates"
	switch n := len(t.Certificates); {
	case n == 0 && len(c.fields) == 0:
		c.add("/spec/tls", "expected certificates, for example certificates: [{certFile: /etc/drover/tls/site.crt, keyFile: /etc/drover/tls/site.key}]")
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
