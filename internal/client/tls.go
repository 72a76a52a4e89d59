package client

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
)

// errPin: the server is not the one that was pinned.
var errPin = errors.New("none of the server's certificates has the pinned fingerprint")

// tlsConfig trusts what the options say; neither file nor pin is what the system trusts.
func tlsConfig(caFile, pin string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case caFile != "" && pin != "":
		return nil, errors.New("give a CA file or a pin, not both")
	case caFile != "":
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("read the CA file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("the CA file %s holds no PEM certificate", caFile)
		}
	case pin != "":
		sum, err := parsePin(pin)
		if err != nil {
			return nil, err
		}
		// The standard check would need the root beforehand; verifyPinned does
		// all of it, name and dates included, with the pinned certificate as root.
		config.InsecureSkipVerify = true
		config.VerifyConnection = func(s tls.ConnectionState) error { return verifyPinned(s, sum) }
	}
	return config, nil
}

func parsePin(pin string) ([]byte, error) {
	text, ok := strings.CutPrefix(strings.ToLower(pin), "sha256:")
	sum, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if !ok || err != nil || len(sum) != sha256.Size {
		return nil, fmt.Errorf("pin %q: want sha256: and the 64 hexadecimal digits of a certificate's fingerprint", pin)
	}
	return sum, nil
}

// verifyPinned checks the server's chain against the one certificate in it that has the fingerprint.
func verifyPinned(s tls.ConnectionState, sum []byte) error {
	roots, others, found := x509.NewCertPool(), x509.NewCertPool(), false
	for _, cert := range s.PeerCertificates {
		got := sha256.Sum256(cert.Raw)
		if bytes.Equal(got[:], sum) {
			roots.AddCert(cert)
			found = true
		} else {
			others.AddCert(cert)
		}
	}
	if !found {
		return errPin
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: s.ServerName, Roots: roots, Intermediates: others})
	return err
}

// explainTLS says what to do about a certificate that is not believed, or returns nil for any other error.
func explainTLS(err error) error {
	if errors.Is(err, errPin) {
		return err
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("%w; a server that made its own CA is trusted with --ca-file or --ca-pin", err)
	}
	if bad, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return bad
	}
	return nil
}
