package client

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	connectTimeout = 5 * time.Second // how long a server may take to come up
	requestTimeout = time.Minute     // for a request whose answer is one document
	patience       = 2 * time.Minute // how long a watch tries to find its server again
)

// Options say which server to talk to and as whom. The zero value is the
// server of the default data folder, as its admin.
type Options struct {
	// Server is https://HOST:PORT, http://HOST:PORT (this machine only),
	// unix:///PATH or HOST:PORT. Empty: the socket in Data.
	Server string
	// Data is the server's data folder. Empty: DefaultData().
	Data string
	// Token is sent as it is; else the content of TokenFile; else, to the
	// socket in Data only, <Data>/admin.token.
	Token     string
	TokenFile string
	// CAFile holds the certificates that the server's is checked against, Pin
	// (sha256:HEX) the one certificate in the server's chain that is believed.
	// Both empty: those that the system knows.
	CAFile string
	Pin    string
	// ConnectTimeout bounds how long a server that refuses connections is tried. 0: 5 s.
	ConnectTimeout time.Duration
	// Patience bounds how long a watch looks for a server that it lost. 0: 2 m.
	Patience time.Duration
	// Waiting is told once, when a server does not come up at once. It may be nil.
	Waiting func(server string)
	// UserAgent names the program in the server's log.
	UserAgent string
}

// Client talks to one server. It is safe for use by several goroutines.
type Client struct {
	target    target
	http      *http.Client
	transport http.RoundTripper
	token     tokenSource
	patience  time.Duration
	userAgent string
}

// New checks the options and makes a client; it does not connect.
func New(o Options) (*Client, error) {
	data := cmp.Or(o.Data, DefaultData())
	t, err := parseTarget(o.Server, data, o.CAFile != "" || o.Pin != "")
	if err != nil {
		return nil, err
	}
	tlsConfig, err := tlsConfig(o.CAFile, o.Pin)
	if err != nil {
		return nil, err
	}
	d := dialer{target: t, patience: cmp.Or(o.ConnectTimeout, connectTimeout), waiting: func() {}}
	if o.Waiting != nil {
		d.waiting = sync.OnceFunc(func() { o.Waiting(t.String()) })
	}
	token, err := newTokenSource(o, t, data, d)
	if err != nil {
		return nil, err
	}
	transport := newTransport(d, tlsConfig)
	return &Client{
		target:    t,
		transport: transport,
		http: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a token must not follow wherever an answer points
		}},
		token:     token,
		patience:  cmp.Or(o.Patience, patience),
		userAgent: cmp.Or(o.UserAgent, "drover"),
	}, nil
}

func newTransport(d dialer, tlsConfig *tls.Config) *http.Transport {
	transport := &http.Transport{
		DialContext:            d.dial,
		TLSClientConfig:        tlsConfig,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        30 * time.Second,
		DisableCompression:     true,
		ExpectContinueTimeout:  5 * time.Second, // an upload that will be refused is not sent
	}
	if d.target.base.Scheme == "https" {
		// A proxy tunnels TLS and sees nothing. It is never used for plain HTTP.
		transport.Proxy = http.ProxyFromEnvironment
		transport.DialContext = d.dialTold
	}
	return transport
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Server says which server the client talks to: a URL or the path of a socket.
func (c *Client) Server() string { return c.target.String() }

// DefaultData is the data folder when none is told: /var/lib/drover as root,
// ~/.local/share/drover otherwise.
func DefaultData() string {
	if os.Geteuid() == 0 {
		return "/var/lib/drover"
	}
	home, err := os.UserHomeDir()
	if err != nil {
		// No home: a folder of this user's own below the temporary one, never a shared name.
		return filepath.Join(os.TempDir(), fmt.Sprintf("drover-%d", os.Geteuid()))
	}
	return filepath.Join(home, ".local", "share", "drover")
}
