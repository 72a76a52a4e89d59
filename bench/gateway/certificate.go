package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
)

// pair are the files of a certificate and its key; both is for HAProxy.
type pair struct{ cert, key, both string }

// writePair writes what the standard library tests servers with: RSA of 2,048 bits.
func writePair(dir string) (p pair, err error) {
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	own := srv.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		return p, err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]})
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	p = pair{filepath.Join(dir, "bench.crt"), filepath.Join(dir, "bench.key"), filepath.Join(dir, "bench.pem")}
	return p, errors.Join(os.WriteFile(p.cert, cert, 0o600), os.WriteFile(p.key, key, 0o600), os.WriteFile(p.both, append(cert, key...), 0o600))
}

// dialTLS shakes hands anew each time: no session is resumed.
func dialTLS(address string) (*tls.Conn, error) {
	return tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) // the load is what is measured by, not what is measured
}
