package certificate

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/droverhq/drover/internal/testtool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func pairIn(dir, source string) Pair {
	return Pair{Source: source, CertFile: filepath.Join(dir, source+".crt"), KeyFile: filepath.Join(dir, source+".key"), Read: os.ReadFile}
}

// ask shakes hands and says what was served.
func ask(t *testing.T, k *Keeper, name string, change ...func(*tls.Config)) (names []string, err error) {
	t.Helper()
	here, there := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		defer there.Close()
		s := tls.Server(there, k.Config())
		if s.Handshake() == nil {
			_, _ = io.Copy(io.Discard, s)
		}
	})
	defer wg.Wait()
	defer here.Close()
	c := &tls.Config{ServerName: name, InsecureSkipVerify: true}
	for _, f := range change {
		f(c)
	}
	client := tls.Client(here, c)
	if err := client.Handshake(); err != nil {
		return nil, err
	}
	return client.ConnectionState().PeerCertificates[0].DNSNames, nil
}

func TestWhichCertificateIsServed(t *testing.T) {
	dir := t.TempDir()
	var pairs []Pair
	for source, names := range map[string][]string{
		"a": {"default.example"}, "b": {"shop.example", "www.shop.example"}, "c": {"*.shop.example"}, "d": {"*.example"}, "e": {"API.other.test"},
	} {
		p := pairIn(dir, source)
		testtool.NewCertificate(t, time.Hour, names...).Write(t, p.CertFile, p.KeyFile)
		pairs = append(pairs, p)
	}
	slices.SortFunc(pairs, func(a, b Pair) int { return strings.Compare(a.Source, b.Source) })
	k := New([]string{"http/1.1"}, quiet())
	k.Use(pairs)
	for name, want := range map[string]string{
		"default.example":    "default.example",
		"shop.example":       "shop.example",
		"SHOP.example":       "shop.example",
		"www.shop.example":   "shop.example",
		"img.shop.example":   "*.shop.example",
		"a.img.shop.example": "default.example", // an asterisk is one label
		"other.example":      "*.example",
		"example":            "default.example",
		"api.other.test":     "API.other.test",
		"nobody.test":        "default.example",
		"":                   "default.example",
		"127.0.0.1":          "default.example", // no name is sent
		".shop.example":      "default.example",
	} {
		got, err := ask(t, k, name)
		if err != nil || got[0] != want {
			t.Errorf("%q: got %v, %v; want %s", name, got, err, want)
		}
	}
}

func TestTheFirstThatTheClientCanUse(t *testing.T) {
	dir := t.TempDir()
	old, young := pairIn(dir, "rsa"), pairIn(dir, "ecdsa")
	testtool.NewCertificate(t, time.Hour, "a.example", "young.example").Write(t, young.CertFile, young.KeyFile)
	testtool.NewRSACertificate(t, time.Hour, "a.example", "old.example").Write(t, old.CertFile, old.KeyFile)
	k := New(nil, quiet())
	k.Use([]Pair{young, old})
	onlyRSA := func(c *tls.Config) {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	}
	for want, change := range map[string][]func(*tls.Config){"young.example": nil, "old.example": {onlyRSA}} {
		if got, err := ask(t, k, "a.example", change...); err != nil || !slices.Contains(got, want) {
			t.Errorf("got %v, %v; want that of %s", got, err, want)
		}
	}
}

// step is something that happens to the files, and what is served and said after
// one look, and after another.
type step struct {
	name      string
	do        func()
	served    string
	then      string // after the second look; empty: the same
	complaint string // after the second look
}

func check(t *testing.T, k *Keeper, s step) {
	t.Helper()
	s.do()
	k.Look()
	if got, _ := ask(t, k, ""); len(got) == 0 && s.served != "" || len(got) > 0 && got[0] != s.served {
		t.Errorf("%s: served is %v, want %s", s.name, got, s.served)
	}
	if first := k.Facts()[0].Problem; s.served != "" && s.complaint != "" && first != "" && s.then != "" {
		t.Errorf("%s: complained at once: %s", s.name, first)
	}
	k.Look()
	if s.then == "" {
		s.then = s.served
	}
	if got, _ := ask(t, k, ""); len(got) == 0 && s.then != "" || len(got) > 0 && got[0] != s.then {
		t.Errorf("%s: served then is %v, want %s", s.name, got, s.then)
	}
	got := k.Facts()[0].Problem
	if s.complaint == "" && got != "" || !strings.Contains(got, s.complaint) {
		t.Errorf("%s: the problem is %q, want %q", s.name, got, s.complaint)
	}
	if strings.Contains(got, "PRIVATE") || strings.Contains(got, "MII") {
		t.Errorf("%s: a key is told: %q", s.name, got)
	}
}

// What was good is served until there is something good again.
func TestFilesThatChange(t *testing.T) {
	dir := t.TempDir()
	p := pairIn(dir, "a")
	one, two, three := testtool.NewCertificate(t, time.Hour, "one.example"), testtool.NewCertificate(t, time.Hour, "two.example"), testtool.NewCertificate(t, time.Hour, "three.example")
	write := func(path string, content []byte) func() {
		return func() {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	k := New(nil, quiet())
	k.Use([]Pair{p})
	for _, s := range []step{
		{name: "nothing yet", do: func() {}, complaint: "a.crt"},
		{name: "a certificate alone", do: write(p.CertFile, one.Chain), complaint: "a.key"},
		{name: "and its key", do: write(p.KeyFile, one.Key), served: "one.example"},
		{name: "the next certificate", do: write(p.CertFile, two.Chain), served: "one.example", complaint: "private key does not match"},
		{name: "the next key", do: write(p.KeyFile, two.Key), served: "two.example"},
		{name: "the key first", do: write(p.KeyFile, three.Key), served: "two.example", complaint: "private key does not match"},
		{name: "then half of the certificate", do: write(p.CertFile, three.Chain[:100]), served: "two.example", complaint: "a.crt"},
		{name: "then all of it", do: write(p.CertFile, three.Chain), served: "three.example"},
		{name: "rubbish", do: write(p.KeyFile, []byte("-----BEGIN PRIVATE KEY-----\nMIIx\n-----END PRIVATE KEY-----\n")), served: "three.example", complaint: "a.key"},
		{name: "no file", do: func() { _ = os.Remove(p.KeyFile) }, served: "three.example", complaint: "a.key"},
		{name: "back again", do: write(p.KeyFile, three.Key), served: "three.example"},
	} {
		check(t, k, s)
	}
}

// A pair that is exchanged file by file between two looks, or over one, is nothing
// to complain about.
func TestARotationIsNoProblem(t *testing.T) {
	dir := t.TempDir()
	p := pairIn(dir, "a")
	testtool.NewCertificate(t, time.Hour, "one.example").Write(t, p.CertFile, p.KeyFile)
	k := New(nil, quiet())
	k.Use([]Pair{p})
	next := testtool.NewCertificate(t, time.Hour, "two.example")
	if err := os.WriteFile(p.CertFile, next.Chain, 0o600); err != nil {
		t.Fatal(err)
	}
	if k.Look() || k.Facts()[0].Problem != "" {
		t.Errorf("half of a rotation is told: %+v", k.Facts())
	}
	if err := os.WriteFile(p.KeyFile, next.Key, 0o600); err != nil {
		t.Fatal(err)
	}
	if !k.Look() || k.Look() {
		t.Error("the end of a rotation is news, once")
	}
	if f := k.Facts()[0]; f.Problem != "" || f.Names[0] != "two.example" || f.NotAfter.Before(time.Now()) {
		t.Errorf("facts: %+v", f)
	}
}

// As Kubernetes and certbot exchange files: a link to a folder, and links to files.
func TestLinksThatAreExchanged(t *testing.T) {
	dir := t.TempDir()
	link := func(to, name string) {
		t.Helper()
		at := filepath.Join(dir, name)
		if err := errors.Join(os.Symlink(to, at+".new"), os.Rename(at+".new", at)); err != nil {
			t.Fatal(err)
		}
	}
	for _, version := range []string{"1", "2", "3"} {
		folder := filepath.Join(dir, "v"+version)
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		testtool.NewCertificate(t, time.Hour, version+".example").Write(t, filepath.Join(folder, "a.crt"), filepath.Join(folder, "a.key"))
	}
	link("v1", "..data")
	link("..data/a.crt", "a.crt")
	link("..data/a.key", "a.key")
	k := New(nil, quiet())
	k.Use([]Pair{pairIn(dir, "a")})
	for _, s := range []step{
		{name: "one folder", do: func() {}, served: "1.example"},
		{name: "another folder", do: func() { link("v2", "..data") }, served: "2.example"},
		{name: "one link after the other", do: func() { link("v3/a.crt", "a.crt") }, served: "2.example", complaint: "does not match"},
		{name: "the second link", do: func() { link("v3/a.key", "a.key") }, served: "3.example"},
	} {
		check(t, k, s)
	}
}

// Other pairs may come and go; those that stay are not read again.
func TestUse(t *testing.T) {
	dir := t.TempDir()
	a, b := pairIn(dir, "a"), pairIn(dir, "b")
	for _, p := range []Pair{a, b} {
		testtool.NewCertificate(t, time.Hour, p.Source+".example").Write(t, p.CertFile, p.KeyFile)
	}
	k := New(nil, quiet())
	config := k.Config()
	k.Use([]Pair{a})
	if err := os.Remove(a.KeyFile); err != nil {
		t.Fatal(err)
	}
	k.Use([]Pair{b, a})
	for name, want := range map[string]string{"a.example": "a.example", "": "b.example"} {
		if got, err := ask(t, k, name); err != nil || got[0] != want {
			t.Errorf("got %v, %v; want %s", got, err, want)
		}
	}
	k.Use([]Pair{b})
	if got, err := ask(t, k, "a.example"); err != nil || got[0] != "b.example" {
		t.Errorf("one that is not used any more: %v, %v", got, err)
	}
	if k.Config() != config {
		t.Error("tickets of sessions are good for nothing now")
	}
	k.Use(nil)
	if _, err := ask(t, k, ""); err == nil {
		t.Error("something is served")
	}
}
