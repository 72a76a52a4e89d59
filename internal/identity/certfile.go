package identity

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateCheck is how often a handshake looks whether the files have changed.
const certificateCheck = 10 * time.Second

// CertificateFiles serves a certificate and key from PEM files, and their
// successors once they are replaced. A pair that does not fit is not served: the
// one before stays, and the log says why.
func CertificateFiles(certFile, keyFile string, logger *slog.Logger) (*tls.Config, error) {
	c := &certificateFiles{certFile: certFile, keyFile: keyFile, logger: logger}
	if err := c.load(time.Now()); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(time.Now()), nil },
	}, nil
}

type certificateFiles struct {
	certFile, keyFile string
	logger            *slog.Logger

	mu      sync.Mutex // guards what follows
	pair    tls.Certificate
	stamp   [2]fileStamp
	checked time.Time
}

type fileStamp struct {
	modified time.Time
	size     int64
}

func (c *certificateFiles) current(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.checked) >= certificateCheck {
		if err := c.load(now); err != nil {
			c.logger.Error("keep serving the certificate before", "err", err)
		}
	}
	pair := c.pair
	return &pair
}

// load reads the pair if its files have changed since the last time.
func (c *certificateFiles) load(now time.Time) error {
	c.checked = now
	var stamp [2]fileStamp
	for i, path := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("look at the certificate: %w", err)
		}
		stamp[i] = fileStamp{info.ModTime(), info.Size()}
	}
	if stamp == c.stamp {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("load certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	c.pair, c.stamp = pair, stamp
	return nil
}
