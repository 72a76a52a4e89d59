package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"
)

// issuer has certmagic order. It keeps no certificates in memory: the gateway serves.
type issuer struct {
	storage *certmagic.FileStorage
	cache   *certmagic.Cache
	roots   *x509.CertPool
	decoy   *net.TCPListener
	serving sync.WaitGroup
}

// newIssuer has to be closed.
func newIssuer(dir string, roots *x509.CertPool) (*issuer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for nobody: %w", err)
	}
	i := &issuer{storage: &certmagic.FileStorage{Path: dir}, roots: roots, decoy: l.(*net.TCPListener)}
	i.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) {
			return nil, errors.New("no certificate is kept here")
		},
		Logger: zap.NewNop(),
	})
	i.serving.Go(i.mislead)
	return i, nil
}

// mislead has certmagic find its port taken. It would answer challenges itself, and
// leaves them to whoever shares its storage when somebody else listens there: so it
// takes none of the machine's ports.
func (i *issuer) mislead() {
	for {
		c, err := i.decoy.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_ = c.Close()
		}
	}
}

func (i *issuer) close() {
	_ = i.decoy.Close()
	i.serving.Wait()
	i.cache.Stop()
}

// silent never asks anybody at a terminal.
type silent struct{ *certmagic.ACMEIssuer }

func (s silent) PreCheck(ctx context.Context, names []string, _ bool) error {
	return s.ACMEIssuer.PreCheck(ctx, names, false)
}

// issue orders a certificate, or the next one. failures is how often that has gone
// wrong: from the second time on Let's Encrypt is asked for a trial first.
func (i *issuer) issue(ctx context.Context, o order, email string, next bool, failures int) error {
	config := certmagic.New(i.cache, certmagic.Config{
		Storage: i.storage, Logger: zap.NewNop(), OCSP: certmagic.OCSPConfig{DisableStapling: true}, DisableARI: true,
	})
	config.Issuers = []certmagic.Issuer{silent{certmagic.NewACMEIssuer(config, certmagic.ACMEIssuer{
		CA: o.directory, Email: email, Agreed: true, TrustedRoots: i.roots, Logger: zap.NewNop(),
		DisableHTTPChallenge: true, ListenHost: "127.0.0.1", AltTLSALPNPort: i.decoy.Addr().(*net.TCPAddr).Port,
	})}}
	ctx = context.WithValue(ctx, certmagic.AttemptsCtxKey, &failures)
	var err error
	if next {
		err = config.RenewCertSync(ctx, o.name, true)
	} else {
		err = config.ObtainCertSync(ctx, o.name) // nothing, when there is one
	}
	if problem, ok := errors.AsType[acme.Problem](err); ok {
		return problem
	}
	return err
}
