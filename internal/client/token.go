package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/droverhq/drover/internal/resource"
)

// maxToken bounds what is read from a token file: a mistyped path is not sent anywhere.
const maxToken = 4096

// tokenSource gives the bearer token of a request.
type tokenSource struct {
	token string // told
	// adminFile is the admin token that nobody named. It is read for every
	// request: it may not be there yet, and a server that restarts may rewrite it.
	adminFile string
	dialer    dialer
}

func newTokenSource(o Options, t target, data string, d dialer) (s tokenSource, err error) {
	s.dialer = d
	switch {
	case o.Token != "":
		s.token, err = clean(o.Token, "the token given")
	case o.TokenFile != "":
		s.token, err = readToken(o.TokenFile)
	case t.local:
		s.adminFile = filepath.Join(data, "admin.token")
	}
	return s, err
}

// get returns the token to send, or an error that says how to give one.
func (s tokenSource) get(ctx context.Context) (string, error) {
	if s.token != "" {
		return s.token, nil
	}
	if s.adminFile == "" {
		return "", resource.Errorf(resource.CodeUnauthenticated,
			"no token for %s: give --token-file or DROVER_TOKEN (the admin token of a data folder goes only to that folder's own socket)", s.dialer.target)
	}
	token, err := readToken(s.adminFile)
	if errors.Is(err, fs.ErrPermission) {
		return "", resource.Errorf(resource.CodeUnauthenticated,
			"the admin token %s may not be read by %s: become the user that runs the server, or give --server and a token", s.adminFile, userName())
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	// A server writes the token before it listens: wait for it to listen, and look again.
	conn, err := s.dialer.dial(ctx, "", "")
	if err != nil {
		return "", err
	}
	conn.Close()
	return readToken(s.adminFile)
}

func readToken(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxToken+1)) // a pipe gives it in pieces
	if err != nil {
		return "", fmt.Errorf("read the token %s: %w", file, err)
	}
	return clean(string(b), file)
}

// clean keeps a token that cannot be one from becoming part of a header, or of an error message.
func clean(token, from string) (string, error) {
	token = strings.TrimSpace(token)
	bad := strings.IndexFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0
	if token == "" || len(token) > maxToken || bad {
		return "", fmt.Errorf("%s does not hold a token", from)
	}
	return token, nil
}
