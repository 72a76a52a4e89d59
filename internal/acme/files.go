package acme

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/caddyserver/certmagic"
)

// Files are where what was ordered for a name is, or will be.
type Files struct {
	Cert, Key string
	// Challenges are where it may be written how to answer the authority.
	Challenges []string
}

// FilesOf are those below dir for a name ordered from a directory; empty: Let's Encrypt.
func FilesOf(dir, directory, name string) Files {
	ca := authority(directory)
	key := (&certmagic.ACMEIssuer{CA: ca}).IssuerKey()
	f := Files{
		Cert:       filepath.Join(dir, certmagic.StorageKeys.SiteCert(key, name)),
		Key:        filepath.Join(dir, certmagic.StorageKeys.SitePrivateKey(key, name)),
		Challenges: []string{challengeFile(dir, key, name)},
	}
	if ca == certmagic.LetsEncryptProductionCA {
		staging := (&certmagic.ACMEIssuer{CA: certmagic.LetsEncryptStagingCA}).IssuerKey()
		f.Challenges = append(f.Challenges, challengeFile(dir, staging, name))
	}
	return f
}

func authority(directory string) string {
	return cmp.Or(directory, certmagic.LetsEncryptProductionCA)
}

// challengeFile is where certmagic writes a challenge for those who share its storage.
func challengeFile(dir, issuer, name string) string {
	keys := certmagic.StorageKeys
	return filepath.Join(dir, "acme", keys.Safe(issuer), "challenge_tokens", keys.Safe(name)+".json")
}

// load is the certificate that was issued; nil: none was.
func (f Files) load() (*x509.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return pair.Leaf, nil
}

// setAside makes room for another order. certmagic would take what is there for good.
func (f Files) setAside(now time.Time) (to string, err error) {
	folder := filepath.Dir(f.Cert)
	to = fmt.Sprintf("%s.damaged-%d", folder, now.Unix())
	if err := os.Rename(folder, to); err != nil {
		return "", fmt.Errorf("set aside a damaged certificate: %w", err)
	}
	return to, nil
}
