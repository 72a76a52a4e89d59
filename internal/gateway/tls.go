package gateway

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/droverhq/drover/internal/gateway/certificate"
	"github.com/droverhq/drover/internal/gateway/hostfile"
	"github.com/droverhq/drover/internal/gateway/proxy"
	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
)

// maxCertificate bounds a file of a certificate or its key.
const maxCertificate = 1 << 20

// tlsOf is what the plan's front serves TLS by; nil: it does not. Files that cannot
// be used are no reason to refuse the plan: they may be right in a moment.
func (b *balancer) tlsOf(p *plan) *tls.Config {
	if p.Spec.TLS == nil {
		b.certificates = nil
		return nil
	}
	if b.certificates == nil {
		b.certificates = certificate.New(proxy.Protocols(), b.state.logger.With("balancer", b.Name))
	}
	b.certificates.Use(append(pairsOf(p.Spec.TLS, b.state.hostPaths), orderedPairs(p.Ordered)...))
	return b.certificates.Config()
}

func pairsOf(t *resource.LoadBalancerTLS, h resource.HostPaths) (list []certificate.Pair) {
	read := func(path string) ([]byte, error) { return hostfile.Read(h, path, maxCertificate) }
	for i, f := range t.Certificates {
		list = append(list, certificate.Pair{
			Source: "certificates/" + strconv.Itoa(i), CertFile: f.CertFile, KeyFile: f.KeyFile, Read: read,
		})
	}
	return list
}

// orderedPairs are in Drover's own folder, where no document may lead.
func orderedPairs(ordered []wire.Ordered) (list []certificate.Pair) {
	for _, o := range ordered {
		list = append(list, certificate.Pair{
			Source: "acme/" + o.Name, CertFile: o.CertFile, KeyFile: o.KeyFile, Read: readOrdered,
			Name: o.Name, Challenges: o.Challenges,
		})
	}
	return list
}

var errNotIssued = errors.New("it was not issued yet")

func readOrdered(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNotIssued
	}
	return content, err
}

// watchCertificates takes up certificates that have changed.
func (p *process) watchCertificates() {
	t := time.NewTicker(certificate.Interval)
	defer t.Stop()
	for {
		select {
		case <-p.ended:
			return
		case <-t.C:
			p.state.lookAtCertificates()
		}
	}
}

func (s *state) lookAtCertificates() {
	s.mu.Lock()
	var all []*certificate.Keeper
	for _, b := range s.balancers {
		if b.certificates != nil {
			all = append(all, b.certificates)
		}
	}
	s.mu.Unlock()
	for _, k := range all {
		if k.Look() {
			s.touch()
		}
	}
}
