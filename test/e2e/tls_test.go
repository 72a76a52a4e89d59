package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/load"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
	"github.com/droverhq/drover/internal/testtool"
)

// certificates is a folder with the pair site.crt and site.key, which are links that
// are exchanged together.
type certificates struct {
	t     *testing.T
	dir   string
	trust *x509.CertPool
	keys  []string // lines of private keys
	n     int
}

func newCertificates(t *testing.T) *certificates {
	t.Helper()
	c := &certificates{t: t, dir: t.TempDir(), trust: x509.NewCertPool()}
	c.link("site.crt", "current/crt")
	c.link("site.key", "current/key")
	return c
}

func (c *certificates) link(name, to string) {
	c.t.Helper()
	at := filepath.Join(c.dir, name)
	check(c.t, os.Symlink(to, at+".new"))
	check(c.t, os.Rename(at+".new", at))
}

// rotate puts a new pair in place and returns a name that only that has.
func (c *certificates) rotate() (name string) {
	c.t.Helper()
	c.n++
	name = fmt.Sprintf("v%d.example", c.n)
	folder := filepath.Join(c.dir, fmt.Sprint(c.n))
	check(c.t, os.Mkdir(folder, 0o755))
	pair := testtool.NewCertificate(c.t, 90*24*time.Hour, "shop.example", "127.0.0.1", name)
	pair.Write(c.t, filepath.Join(folder, "crt"), filepath.Join(folder, "key"))
	c.trust.AppendCertsFromPEM(pair.Chain)
	c.keys = append(c.keys, strings.Split(string(pair.Key), "\n")[1])
	c.link("current", fmt.Sprint(c.n))
	return name
}

func (c *certificates) client() *tls.Config {
	return &tls.Config{RootCAs: c.trust.Clone(), ServerName: "shop.example"}
}

// spec is the balancer's field.
func (c *certificates) spec() string {
	return fmt.Sprintf("{certificates: [{certFile: %[1]s/site.crt, keyFile: %[1]s/site.key}]}", c.dir)
}

// serves waits until that pair is served.
func (c *certificates) serves(s *server, address, name string) {
	c.t.Helper()
	s.eventually(20*time.Second, "the certificate of "+name+" is served", func() (bool, error) {
		conn, err := tls.Dial("tcp", address, c.client())
		if err != nil {
			return false, nil
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].VerifyHostname(name) == nil, nil
	})
}

func secureDocuments(capacity int, tls string) string {
	text := policy{capacity: capacity, bake: "500ms", drain: "1s"}.yaml()
	return strings.Replace(text, "backend: hello,", "backend: hello, tls: "+tls+",", 1)
}

// A renewal fails no request, nor does a flip: the files are exchanged under load,
// over connections that are kept and over new ones.
func TestTLSCertificatesChangeUnderLoad(t *testing.T) {
	c := newCertificates(t)
	name := c.rotate()
	for range size(6, 20) {
		c.rotate() // all are trusted from the beginning
	}
	c.link("current", "1")
	s := startServer(t, "--host-path", c.dir)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{})
	s.apply(secureDocuments(2, c.spec()))
	address := s.serving(2)
	c.serves(s, address, name)
	kept := s.startTrafficWith(load.Options{Address: address, Connections: 16, Rate: 200, PostEvery: 4, BodyBytes: 2048, TLS: c.client()}, 4)
	fresh := s.startTrafficWith(load.Options{Address: address, Connections: 4, Rate: 40, PostEvery: 4, BodyBytes: 2048, TLS: c.client(), Reconnect: true}, 0)
	rollout := s.roll("hello:2.0.0")
	for i := 2; i <= c.n; i++ {
		c.link("current", fmt.Sprint(i))
		c.serves(s, address, fmt.Sprintf("v%d.example", i))
	}
	s.ends(rollout, resource.RolloutSucceeded)
	kept.reached("2.0.0")
	kept.zeroFailed()
	fresh.zeroFailed()
	s.nowhere(c.keys...)
}

// What is broken is told and not served; what was good is served on.
func TestTLSBrokenFilesAreTold(t *testing.T) {
	c := newCertificates(t)
	first, second := c.rotate(), ""
	s := startServer(t, "--host-path", c.dir)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(secureDocuments(1, c.spec()))
	address := s.serving(1)
	c.serves(s, address, first)
	condition := func(status bool, reason, message string) {
		t.Helper()
		s.eventually(20*time.Second, fmt.Sprintf("the condition is %v %s", status, reason), func() (bool, error) {
			lb := read[resource.LoadBalancerSpec, resource.LoadBalancerStatus](s, resource.KindLoadBalancer, "front")
			got := resource.FindCondition(lb.Status.Conditions, resource.ConditionCertificates)
			return got != nil && got.Status == status && got.Reason == reason && strings.Contains(got.Message, message), nil
		})
	}
	condition(true, "", "")
	check(t, os.WriteFile(filepath.Join(c.dir, "1", "crt"), []byte("-----BEGIN CERTIFICATE-----\n"), 0o600))
	condition(false, "NotRenewed", "site.crt")
	c.serves(s, address, first)
	if out := s.mustDrover("status"); !strings.Contains(out, "front: not Certificates (NotRenewed)") {
		t.Errorf("status does not tell:\n%s", out)
	}
	if m := s.metrics(); !strings.Contains(m, `drover_gateway_certificate_problem{balancer="front",source="certificates/0"} 1`) ||
		!strings.Contains(m, `drover_gateway_certificate_not_after_seconds{balancer="front",source="certificates/0"}`) {
		t.Errorf("metrics do not tell:\n%s", m)
	}
	second = c.rotate()
	condition(true, "", "")
	c.serves(s, address, second)
	old := testtool.NewCertificate(t, -time.Minute, "shop.example")
	old.Write(t, filepath.Join(c.dir, "2", "crt"), filepath.Join(c.dir, "2", "key"))
	condition(false, "Expired", "expired at")
	s.nowhere(c.keys...)
}

// Either process may be killed: no connection is refused, the gateway takes up new
// certificates by itself, and a new one has them.
func TestTLSWithKilledProcesses(t *testing.T) {
	c := newCertificates(t)
	first := c.rotate()
	c.rotate()
	c.rotate()
	c.link("current", "1")
	s := startServer(t, "--host-path", c.dir)
	s.push("hello:1.0.0", sample.Config{})
	redirect := strings.Replace(c.spec(), "}]}", `}], redirectFrom: "127.0.0.1:0"}`, 1)
	s.apply(strings.Replace(secureDocuments(2, redirect), "127.0.0.1:0", testtool.FreeAddress(t), 1)) // the same after both were killed
	address := s.serving(2)
	c.serves(s, address, first)
	from := read[resource.LoadBalancerSpec, resource.LoadBalancerStatus](s, resource.KindLoadBalancer, "front").Status.RedirectAddress
	tr := s.startTrafficWith(load.Options{Address: address, Connections: 8, Rate: 80, TLS: c.client(), Reconnect: true}, 0)
	plain := s.startTrafficWith(load.Options{Address: from, Connections: 2, Rate: 40, Reconnect: true}, 0)
	for range size(3, 10) {
		before := tr.g.Stats()
		s.killGateway()
		s.eventually(20*time.Second, "another gateway serves", func() (bool, error) {
			now := tr.g.Stats()
			return now.Requests-now.Failed > before.Requests-before.Failed+20, nil
		})
	}
	for name, stats := range map[string]load.Stats{"HTTPS": tr.end(), "the redirection": plain.end()} {
		if stats.Refused > 0 || stats.Requests == 0 {
			t.Errorf("%s: %d connections of %d were refused:\n%s", name, stats.Refused, stats.Requests, listed(stats.Failures))
		}
	}
	s.kill()
	c.link("current", "2")
	c.serves(s, address, "v2.example")
	s.killGateway()
	c.link("current", "3")
	s.start()
	c.serves(s, address, "v3.example")
}

// What curl and OpenSSL see.
func TestTLSFromOutside(t *testing.T) {
	curl, openssl := testtool.Require(t, "curl"), testtool.Require(t, "openssl")
	c := newCertificates(t)
	c.rotate()
	other := testtool.NewCertificate(t, time.Hour, "*.other.example")
	other.Write(t, filepath.Join(c.dir, "other.crt"), filepath.Join(c.dir, "other.key"))
	s := startServer(t, "--host-path", c.dir)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(secureDocuments(1, fmt.Sprintf(`{certificates: [{certFile: %[1]s/site.crt, keyFile: %[1]s/site.key}, {certFile: %[1]s/other.crt, keyFile: %[1]s/other.key}], redirectFrom: "127.0.0.1:0"}`, c.dir)))
	address := s.serving(1)
	c.serves(s, address, "v1.example")
	_, port, err := net.SplitHostPort(address)
	check(t, err)
	from := read[resource.LoadBalancerSpec, resource.LoadBalancerStatus](s, resource.KindLoadBalancer, "front").Status.RedirectAddress
	_, fromPort, err := net.SplitHostPort(from)
	check(t, err)
	run := func(stdin string, args ...string) string {
		t.Helper()
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Stdin = strings.NewReader(stdin)
		out, _ := cmd.CombinedOutput() // some of them are to fail
		return string(out)
	}
	trusted := []string{curl, "-sS", "--max-time", "10", "--resolve", "shop.example:" + port + ":127.0.0.1", "--resolve", "shop.example:" + fromPort + ":127.0.0.1", "--cacert", filepath.Join(c.dir, "site.crt")}
	https := func(args ...string) string { t.Helper(); return run("", append(trusted, args...)...) }
	if got := https("-o", "/dev/null", "-w", "%{http_code} %{http_version}", "https://shop.example:"+port+"/"); got != "200 1.1" && got != "200 2" {
		t.Errorf("curl: %s", got)
	}
	if got := https("-L", "-o", "/dev/null", "-w", "%{num_redirects} %{http_code} %{url_effective}", "http://shop.example:"+fromPort+"/a?b=c"); got != "1 200 https://shop.example:"+port+"/a?b=c" {
		t.Errorf("curl -L: %s", got)
	}
	if got := run("", curl, "-sS", "--max-time", "10", "http://"+address+"/"); !strings.Contains(got, "this port speaks HTTPS") {
		t.Errorf("plain HTTP: %s", got)
	}
	connect := func(stdin string, args ...string) string {
		t.Helper()
		return run(stdin, append([]string{"timeout", "10", openssl, "s_client", "-connect", address}, args...)...)
	}
	for name, want := range map[string]string{"shop.example": "CN = shop.example", "a.other.example": "CN = *.other.example", "nobody.test": "CN = shop.example"} {
		if got := connect("", "-servername", name); !strings.Contains(got, want) {
			t.Errorf("%s: no %s in\n%s", name, want, got)
		}
	}
	if got := connect("", "-noservername"); !strings.Contains(got, "CN = shop.example") {
		t.Errorf("without a name:\n%s", got)
	}
	if got := connect("", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"); !strings.Contains(got, "alert protocol version") {
		t.Errorf("TLS 1.1:\n%s", got)
	}
	if got := connect("R\n", "-tls1_2"); !strings.Contains(got, "RENEGOTIATING") || !strings.Contains(got, "alert") && !strings.Contains(got, "no renegotiation") {
		t.Errorf("a renegotiation:\n%s", got)
	}
	if got := connect("", "-tls1_2", "-reconnect"); strings.Count(got, "Reused") != 5 {
		t.Errorf("sessions are not resumed:\n%s", got)
	}
}

// Files that cannot be used, or that the writer may not name, are refused by the field.
func TestTLSFilesThatAreRefused(t *testing.T) {
	c := newCertificates(t)
	c.rotate()
	outside := testtool.NewCertificate(t, time.Hour, "a.example")
	elsewhere := t.TempDir()
	outside.Write(t, filepath.Join(elsewhere, "crt"), filepath.Join(elsewhere, "key"))
	c.link("out.key", filepath.Join(elsewhere, "key"))
	s := startServer(t, "--host-path", c.dir)
	token := strings.TrimSpace(s.mustDrover("token", "create", "writer", "--role", "Contributor"))
	document := func(cert, key string) string {
		return s.file("front.yaml", fmt.Sprintf("kind: LoadBalancer\nname: front\nspec: {listen: '127.0.0.1:0', backend: hello, tls: {certificates: [{certFile: %s, keyFile: %s}]}}\n", cert, key))
	}
	for _, refused := range []struct{ cert, key, field, why string }{
		{elsewhere + "/crt", c.dir + "/site.key", "certFile", "--host-path"},
		{c.dir + "/site.crt", elsewhere + "/key", "keyFile", "--host-path"},
		{c.dir + "/site.crt", c.dir + "/out.key", "keyFile", "leads out of the folder"},
		{c.dir + "/site.crt", c.dir + "/none.key", "keyFile", "does not exist"},
		{c.dir + "/site.crt", c.dir, "keyFile", "--host-path"},
		{c.dir + "/site.crt", s.data + "/keys/x", "keyFile", "data folder"},
	} {
		out, code := s.droverAs(token, "apply", "-f", document(refused.cert, refused.key))
		if code != 1 || !strings.Contains(out, "/spec/tls/certificates/0/"+refused.field) || !strings.Contains(out, refused.why) {
			t.Errorf("%+v: exit code %d: %s", refused, code, out)
		}
	}
	if _, err := s.client.Get(s.ctx(), resource.KindLoadBalancer, "front"); !resource.IsCode(err, resource.CodeNotFound) {
		t.Errorf("a refused load balancer is there: %v", err)
	}
	_, err := s.put("kind: LoadBalancer\nname: front\nspec: {listen: '127.0.0.1:0', protocol: tcp, backend: hello, tls: {acme: {names: [a.example]}}}\n", client.ApplyOptions{})
	refused(t, err, resource.CodeInvalid, "/spec/tls", "protocol: http")
}

// Certificates are ordered from an authority, served, and there after a restart; in
// no document, log or answer is a key.
func TestTLSByACME(t *testing.T) {
	listen := testtool.FreeAddress(t)
	addr, err := net.ResolveTCPAddr("tcp", listen)
	check(t, err)
	p := testtool.StartPebble(t, testtool.PebbleOptions{TLSPort: addr.Port, Valid: time.Hour})
	t.Setenv("SSL_CERT_FILE", p.CAFile)
	s := startServer(t)
	s.push("hello:1.0.0", sample.Config{})
	text := secureDocuments(1, fmt.Sprintf("{acme: {email: ops@example.com, directory: %q, names: [shop.example, www.shop.example]}}", p.Directory))
	s.apply(strings.Replace(text, "127.0.0.1:0", listen, 1))
	address := s.serving(1)
	served := func(name string) {
		t.Helper()
		s.eventually(60*time.Second, name+" is served", func() (bool, error) {
			conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: p.Roots, ServerName: name})
			if err != nil {
				return false, nil
			}
			return true, conn.Close()
		})
	}
	served("shop.example")
	served("www.shop.example")
	s.eventually(20*time.Second, "all is well", func() (bool, error) {
		lb := read[resource.LoadBalancerSpec, resource.LoadBalancerStatus](s, resource.KindLoadBalancer, "front")
		ordered := resource.FindCondition(lb.Status.Conditions, resource.ConditionOrdered)
		certificates := resource.FindCondition(lb.Status.Conditions, resource.ConditionCertificates)
		return ordered != nil && ordered.Status && certificates != nil && certificates.Status, nil
	})
	s.kill()
	s.killGateway()
	s.start()
	served("shop.example")
	if n := p.Issued(); n != 2 {
		t.Errorf("%d certificates were issued for two names", n)
	}
	keys, err := filepath.Glob(filepath.Join(s.data, "acme", "certificates", "*", "*", "*.key"))
	check(t, err)
	for _, path := range keys {
		key, err := os.ReadFile(path)
		check(t, err)
		line := strings.Split(string(key), "\n")[1]
		if _, err := base64.StdEncoding.DecodeString(line); err != nil {
			t.Fatalf("%s is no key: %v", path, err)
		}
		if out := s.mustDrover("get", "lb", "front", "-o", "json"); strings.Contains(out, line) || strings.Contains(s.log.String(), line) {
			t.Error("a key is told")
		}
	}
	if len(keys) != 2 {
		t.Errorf("keys: %v", keys)
	}
}
