package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	caKey      = "tls-ca"
	caLife     = 10 * 365 * 24 * time.Hour
	caRenew    = 180 * 24 * time.Hour // a CA that ends sooner is made anew at the start
	leafLife   = 90 * 24 * time.Hour
	leafRenew  = 30 * 24 * time.Hour
	clockSkew  = time.Hour // how far behind a client's clock may be
	serialBits = 127
)

// Authority is the server's own certificate authority: it is made on the first
// start, and clients pin it.
type Authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	hosts []string

	mu   sync.Mutex // guards the server's certificate
	leaf *tls.Certificate
}

// LoadOrCreateAuthority returns the authority kept in keys, for a server that is
// reached under hosts (see ServerHosts). One that is lost, torn in both copies or
// near its end is made anew; clients must then pin the new one, and the log says so.
func LoadOrCreateAuthority(keys *Keys, hosts []string, logger *slog.Logger) (*Authority, error) {
	content, err := keys.LoadOrCreate(caKey, newCA)
	if err != nil {
		return nil, fmt.Errorf("load the certificate authority: %w", err)
	}
	a, err := parseCA(content)
	if err == nil && time.Until(a.cert.NotAfter) < caRenew {
		err = fmt.Errorf("it ends at %s", a.cert.NotAfter.Format(time.RFC3339))
	}
	if err != nil {
		logger.Warn("made a new certificate authority, clients must pin it anew", "reason", err.Error())
		if content, err = newCA(); err != nil {
			return nil, fmt.Errorf("make a certificate authority: %w", err)
		}
		if err = keys.Replace(caKey, content); err != nil {
			return nil, err
		}
		if a, err = parseCA(content); err != nil {
			return nil, fmt.Errorf("read the new certificate authority: %w", err)
		}
	}
	a.hosts = slices.Clone(hosts)
	if _, err := a.certificate(time.Now()); err != nil {
		return nil, fmt.Errorf("make the server's certificate: %w", err)
	}
	return a, nil
}

// Config serves certificates of this authority. The certificate is made anew
// before it ends, by the handshake that finds it so.
func (a *Authority) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return a.certificate(time.Now())
		},
	}
}

// PEM is the authority's certificate, for clients to trust.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// Pin is the fingerprint that clients pin: sha256: and the certificate's hash.
func (a *Authority) Pin() string {
	sum := sha256.Sum256(a.cert.Raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (a *Authority) certificate(now time.Time) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.leaf != nil && now.Before(a.leaf.Leaf.NotAfter.Add(-leafRenew)) {
		return a.leaf, nil
	}
	leaf, err := a.issue(now)
	if err != nil {
		return nil, err
	}
	a.leaf = leaf
	return leaf, nil
}

func (a *Authority) issue(now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificate("Drover server", now, leafLife)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	for _, host := range a.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	// The authority goes along: a client that knows only its fingerprint finds it in the chain.
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: parsed}, nil
}

// newCA returns a key and its certificate, PEM after PEM.
func newCA() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificate("Drover CA", time.Now(), caLife)
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...), nil
}

func certificate(name string, now time.Time, life time.Duration) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits)) // never fails: its reader doesn't
	host, _ := os.Hostname()                                                        // only tells one Drover's certificates from another's
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name, Organization: []string{host}},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(life),
	}
}

func parseCA(content []byte) (*Authority, error) {
	pair, err := tls.X509KeyPair(content, content)
	if err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, errors.New("it is not a certificate authority")
	}
	return &Authority{cert: pair.Leaf, key: key}, nil
}
