package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func authority(t *testing.T, dir string, log io.Writer) *Authority {
	t.Helper()
	logger := slog.New(slog.NewTextHandler(log, nil))
	hosts, err := ServerHosts("127.0.0.1:7400")
	if err != nil {
		t.Fatal(err)
	}
	a, err := LoadOrCreateAuthority(NewKeys(dir, logger), hosts, logger)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAuthorityServesItsClients(t *testing.T) {
	a := authority(t, filepath.Join(t.TempDir(), "keys"), io.Discard)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", a.Config())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.PEM())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("https://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if n := len(resp.TLS.PeerCertificates); n != 2 || !resp.TLS.PeerCertificates[1].IsCA {
		t.Fatalf("%d certificates in the chain: a client that knows the pin needs the CA", n)
	}
}

func TestAuthorityIsTheSameAfterARestartAndRecovered(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(dir string) error
		same   bool
		log    string
	}{
		"restart": {func(string) error { return nil }, true, ""},
		"torn key": {func(dir string) error {
			return os.Truncate(filepath.Join(dir, caKey), 100)
		}, true, "repaired"},
		"torn copy": {func(dir string) error {
			return os.Truncate(filepath.Join(dir, caKey+".copy"), 0)
		}, true, "repaired"},
		"both torn": {func(dir string) error {
			return errors.Join(os.Truncate(filepath.Join(dir, caKey), 100), os.Truncate(filepath.Join(dir, caKey+".copy"), 1))
		}, false, "both copies"},
		"not a CA": {func(dir string) error {
			return NewKeys(dir, slog.New(slog.DiscardHandler)).Replace(caKey, []byte("hello"))
		}, false, "pin it anew"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "keys")
			first := authority(t, dir, io.Discard)
			if err := c.damage(dir); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			second := authority(t, dir, &log)
			if same := first.Pin() == second.Pin(); same != c.same {
				t.Errorf("the same: %v", same)
			}
			if !strings.Contains(log.String(), c.log) || c.log == "" && log.Len() > 0 || strings.Contains(log.String(), "PRIVATE") {
				t.Errorf("log: %s", &log)
			}
			log.Reset()
			if third := authority(t, dir, &log); third.Pin() != second.Pin() || log.Len() > 0 {
				t.Errorf("it does not last: %s", &log)
			}
		})
	}
}

func TestCertificateIsMadeAnewBeforeItEnds(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a := authority(t, dir, io.Discard)
		pool := x509.NewCertPool()
		pool.AddCert(a.cert)
		get := a.Config().GetCertificate
		seen := map[string]bool{}
		for range 400 {
			leaf, err := get(nil)
			if err != nil {
				t.Fatal(err)
			}
			if left := time.Until(leaf.Leaf.NotAfter); left < leafRenew {
				t.Fatalf("a certificate with %v left was served", left)
			}
			if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "localhost", CurrentTime: time.Now()}); err != nil {
				t.Fatal(err)
			}
			seen[leaf.Leaf.SerialNumber.String()] = true
			time.Sleep(24 * time.Hour)
		}
		if n := len(seen); n < 6 || n > 8 {
			t.Fatalf("%d certificates in 400 days", n)
		}
		// Near its own end the authority is replaced at a start.
		time.Sleep(caLife - 400*24*time.Hour - caRenew + time.Second)
		if authority(t, dir, io.Discard).Pin() == a.Pin() {
			t.Fatal("an authority near its end is still used")
		}
	})
}

func TestServerHosts(t *testing.T) {
	for address, want := range map[string][]string{
		"127.0.0.1:7400":    {"127.0.0.1", "localhost", "::1"},
		"10.1.2.3:7400":     {"10.1.2.3", "127.0.0.1"},
		"shop.example:7400": {"shop.example", "localhost"},
		"0.0.0.0:7400":      {"127.0.0.1"},
		":7400":             {"127.0.0.1"},
		"[::]:7400":         {"127.0.0.1", "::1"},
	} {
		hosts, err := ServerHosts(address)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !slices.Contains(hosts, w) {
				t.Errorf("%s: %v lacks %s", address, hosts, w)
			}
		}
		if slices.Contains(hosts, "") || slices.Contains(hosts, "0.0.0.0") {
			t.Errorf("%s: %v", address, hosts)
		}
	}
	if _, err := ServerHosts("nonsense"); err == nil {
		t.Error("nonsense is an address")
	}
	for address, want := range map[string]bool{
		"127.0.0.1:1": true, "127.9.9.9:1": true, "[::1]:1": true, "localhost:1": true,
		"0.0.0.0:1": false, ":1": false, "[::]:1": false, "10.0.0.1:1": false, "example.com:1": false, "x": false,
	} {
		if got := Loopback(address); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

func TestCertificateFilesAreReloaded(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	write := func(modified time.Time) {
		a := authority(t, filepath.Join(t.TempDir(), "keys"), io.Discard)
		leaf, err := a.certificate(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		key, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey.(*ecdsa.PrivateKey))
		if err != nil {
			t.Fatal(err)
		}
		for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: leaf.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: key}} {
			if err := errors.Join(os.WriteFile(path, pem.EncodeToMemory(block), 0o600), os.Chtimes(path, modified, modified)); err != nil {
				t.Fatal(err)
			}
		}
	}
	now := time.Now()
	write(now)
	var log bytes.Buffer
	c := &certificateFiles{certFile: certFile, keyFile: keyFile, logger: slog.New(slog.NewTextHandler(&log, nil))}
	if err := c.load(now); err != nil {
		t.Fatal(err)
	}
	first := c.current(now).Certificate[0]
	write(now.Add(time.Second))
	if !bytes.Equal(c.current(now.Add(certificateCheck / 2)).Certificate[0], first) {
		t.Fatal("looked at the files at every handshake")
	}
	second := c.current(now.Add(certificateCheck)).Certificate[0]
	if bytes.Equal(second, first) {
		t.Fatal("the new certificate is not served")
	}
	if err := os.WriteFile(keyFile, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(c.current(now.Add(2 * certificateCheck)).Certificate[0], second) || !strings.Contains(log.String(), "keep serving") {
		t.Fatalf("a torn key: %s", &log)
	}
	if _, err := CertificateFiles(certFile, keyFile, slog.New(slog.DiscardHandler)); err == nil {
		t.Fatal("a torn key at the start")
	}
}

func TestLoopbackListenerNeedsNoName(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if !Loopback(l.Addr().String()) {
		t.Fatal(l.Addr())
	}
}
