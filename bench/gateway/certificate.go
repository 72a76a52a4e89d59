package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"time"
)

// pair are the files of a certificate and its key; both is for HAProxy.
type pair struct{ cert, key, both string }

// writePair writes a certificate with a key as authorities give them out today: P-256.
func writePair(dir string) (p pair, err error) {
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return p, err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "bench"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	chain, err := x509.CreateCertificate(rand.Reader, template, template, own.Public(), own)
	if err != nil {
		return p, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		return p, err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain})
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	p = pair{filepath.Join(dir, "bench.crt"), filepath.Join(dir, "bench.key"), filepath.Join(dir, "bench.pem")}
	return p, errors.Join(os.WriteFile(p.cert, cert, 0o600), os.WriteFile(p.key, key, 0o600), os.WriteFile(p.both, append(cert, key...), 0o600))
}

// dialTLS shakes hands anew each time: no session is resumed.
func dialTLS(address string) (*tls.Conn, error) {
	return tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) // the load is what is measured by, not what is measured
}
