package testtool

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Pebble is Let's Encrypt's own authority for tests. It trusts nobody, and nobody
// trusts what it issues.
type Pebble struct {
	Directory string
	// CA is who has to be trusted to speak with it, as PEM, and the name of a file with that.
	CA     []byte
	CAFile string
	// Roots are who signs what it issues.
	Roots *x509.CertPool

	log Buffer
}

// PebbleOptions say what names lead to, and how long certificates are good.
type PebbleOptions struct {
	// Listen is where its API is; empty: at a free port.
	Listen string
	// TLSPort is the one that it takes for 443.
	TLSPort int
	// Resolve says what a name's address is; nil: 127.0.0.1.
	Resolve func(name string) net.IP
	Valid   time.Duration
}

// pebbleDir is where the program is, once it was built.
var pebbleDir string

// buildPebble makes the program, once.
var buildPebble = sync.OnceValues(func() (program string, err error) {
	if pebbleDir, err = os.MkdirTemp("", "pebble-"); err != nil {
		return "", err
	}
	program = filepath.Join(pebbleDir, "pebble")
	out, err := exec.Command("go", "build", "-o", program, "github.com/letsencrypt/pebble/v2/cmd/pebble").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return program, nil
})

// RemovePebble removes the program, if a test has built it. It is for TestMain.
func RemovePebble() {
	if pebbleDir != "" {
		_ = os.RemoveAll(pebbleDir)
	}
}

// StartPebble runs one until the test ends.
func StartPebble(t testing.TB, o PebbleOptions) *Pebble {
	t.Helper()
	program, err := buildPebble()
	if err != nil {
		t.Fatalf("build pebble: %v", err)
	}
	if o.Listen == "" {
		o.Listen = FreeAddress(t)
	}
	dir := t.TempDir()
	own := NewCertificate(t, time.Hour, "127.0.0.1")
	p := &Pebble{Directory: "https://" + o.Listen + "/dir", CA: own.Chain, CAFile: filepath.Join(dir, "cert.pem")}
	own.Write(t, p.CAFile, filepath.Join(dir, "key.pem"))
	management := FreeAddress(t)
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": o.Listen, "managementListenAddress": management,
		"certificate": p.CAFile, "privateKey": filepath.Join(dir, "key.pem"),
		"tlsPort": o.TLSPort, "httpPort": 1, "retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles": map[string]any{"default": map[string]any{"description": "a test's", "validityPeriod": int(o.Valid.Seconds())}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-config", filepath.Join(dir, "config.json"), "-dnsserver", serveDNS(t, o.Resolve))
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_AUTHZREUSE=0")
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("pebble:\n%s", p.log.String())
		}
	})
	p.Roots = p.root(t, own, "https://"+management+"/roots/0")
	return p
}

// Issued is how many certificates it has issued.
func (p *Pebble) Issued() int {
	return bytes.Count([]byte(p.log.String()), []byte("Issued certificate serial"))
}

// root asks until it answers.
func (p *Pebble) root(t testing.TB, own Certificate, url string) *x509.CertPool {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: own.Trust()}, DisableKeepAlives: true}
	c := &http.Client{Transport: transport, Timeout: time.Second}
	for end := time.Now().Add(20 * time.Second); ; {
		resp, err := c.Get(url)
		if err == nil {
			pem, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			roots := x509.NewCertPool()
			if roots.AppendCertsFromPEM(pem) {
				return roots
			}
		}
		if time.Now().After(end) {
			t.Fatalf("pebble does not answer: %v\n%s", err, p.log.String())
		}
		<-time.After(20 * time.Millisecond)
	}
}

// FreeAddress is one at which nobody listens just now.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serveDNS answers what the address of a name is, over TCP, until the test ends.
func serveDNS(t testing.TB, resolve func(string) net.IP) string {
	t.Helper()
	if resolve == nil {
		resolve = func(string) net.IP { return net.IPv4(127, 0, 0, 1) }
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				var size [2]byte
				if _, err := io.ReadFull(c, size[:]); err != nil {
					return
				}
				question := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(c, question); err != nil {
					return
				}
				answer := answerDNS(question, resolve)
				_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	return l.Addr().String()
}

// answerDNS answers a question for an IPv4 address; to any other the answer is that
// there is none.
func answerDNS(q []byte, resolve func(string) net.IP) []byte {
	const header = 12
	name, end := "", header
	for end < len(q) && q[end] != 0 {
		label := q[end+1 : min(len(q), end+1+int(q[end]))]
		name, end = name+"."+string(label), end+1+int(q[end])
	}
	if end += 5; len(name) == 0 || end > len(q) {
		return nil
	}
	a := append([]byte(nil), q[:end]...)
	a[2], a[3] = 0x81, 0x80               // an answer, without an error
	a[6], a[7] = 0, 0                     // no answers,
	a[8], a[9], a[10], a[11] = 0, 0, 0, 0 // and nothing else
	if q[end-3] != 1 {
		return a
	}
	a[7] = 1
	a = append(a, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4) // that name, A, IN, a second, four bytes
	return append(a, resolve(name[1:]).To4()...)
}

// Buffer keeps what a process writes, while others read it.
type Buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
