package certificate

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// configFor is another config for an authority that makes sure whose a name is; nil:
// for everybody else, there is none. See RFC 8737.
func (k *Keeper) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if !slices.Contains(hello.SupportedProtos, acmez.ACMETLS1Protocol) {
		return nil, nil
	}
	cert, err := k.challenge(strings.ToLower(hello.ServerName))
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{*cert}, NextProtos: []string{acmez.ACMETLS1Protocol},
		MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true,
	}, nil
}

var errNoChallenge = errors.New("no certificate is being ordered for that name")

// challenge makes the certificate that answers the challenge there is for a name.
// Only files of names that are ordered are looked for.
func (k *Keeper) challenge(name string) (*tls.Certificate, error) {
	for _, path := range k.challengesOf(name) {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // most of the time there is none
		}
		var c acme.Challenge
		if err := json.Unmarshal(raw, &c); err != nil || c.Identifier.Value != name {
			return nil, fmt.Errorf("the challenge for %s cannot be read", name)
		}
		return acmez.TLSALPN01ChallengeCert(c)
	}
	return nil, errNoChallenge
}

func (k *Keeper) challengesOf(name string) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, one := range k.kept {
		if one.Name != "" && one.Name == name {
			return one.Challenges
		}
	}
	return nil
}
