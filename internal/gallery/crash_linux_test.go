package gallery

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/store"
	"github.com/droverhq/drover/internal/testtool"
)

// childFolders in the environment make the test binary a server over these folders.
const childFolders = "GALLERY_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolders); dir != "" {
		if err := serveChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func serveChild(dir string) error {
	ctx := context.Background()
	s, err := store.Open(ctx, store.Options{Dir: filepath.Join(dir, "store")})
	if err != nil {
		return err
	}
	g, err := New(Options{Dir: filepath.Join(dir, "registry"), Site: "local", Store: s, Guard: callers{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	failed := make(chan error, 3)
	go func() { // whoever started it may be gone
		_, err := io.Copy(io.Discard, os.Stdin)
		failed <- err
	}()
	go func() { failed <- g.Run(ctx) }()
	go func() { failed <- http.Serve(l, g.Handler()) }()
	return <-failed
}

// child is a server in a process of its own.
type child struct {
	*place
	cmd   *exec.Cmd
	stdin io.Closer
}

func startChild(t *testing.T, dir string, command ...string) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command = append(command, self)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), childFolders+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	c := &child{&place{t: t}, cmd, in}
	t.Cleanup(func() { c.kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v", err)
	}
	c.url = strings.TrimSpace(line)
	return c
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait() // it was killed
}

// end lets the server end, and with it who traces it.
func (c *child) end() {
	_ = c.stdin.Close()
	_ = c.cmd.Wait() // it says that it failed
}

// errLost: the server went away before it answered.
var errLost = errors.New("no answer")

// send is one request to a server that may be killed meanwhile.
func send(method, url, mediaType string, body []byte) (int, http.Header, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(string(body)))
	if err != nil {
		return 0, nil, err
	}
	req.SetBasicAuth("x", everything)
	req.Header.Set("Content-Type", mediaType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, errLost
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, nil, errLost
	}
	return resp.StatusCode, resp.Header, nil
}

// pushTo pushes an image with two blobs and returns its digest once that was acknowledged.
func pushTo(url, image, version, text string) (string, error) {
	refs := make([]string, 2)
	for i, blob := range []string{`{"os":"linux","architecture":"amd64","config":{"Cmd":["` + text + `"]}}`, strings.Repeat(text, 1000)} {
		status, h, err := send(http.MethodPost, url+"/v2/"+image+"/blobs/uploads/", "", nil)
		if err != nil || status != http.StatusAccepted {
			return "", errors.Join(err, fmt.Errorf("start: %d", status))
		}
		digest := digestOf([]byte(blob))
		status, _, err = send(http.MethodPut, url+h.Get("Location")+"&digest="+digest, "application/octet-stream", []byte(blob))
		if err != nil || status != http.StatusCreated {
			return "", errors.Join(err, fmt.Errorf("blob: %d", status))
		}
		refs[i] = fmt.Sprintf(`"digest":%q,"size":%d`, digest, len(blob))
	}
	m := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json",%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar",%s}]}`, refs[0], refs[1])
	status, _, err := send(http.MethodPut, url+"/v2/"+image+"/manifests/"+version, "application/vnd.oci.image.manifest.v1+json", []byte(m))
	if err != nil || status != http.StatusCreated {
		return "", errors.Join(err, fmt.Errorf("manifest: %d", status))
	}
	return digestOf([]byte(m)), nil
}

func TestEveryAcknowledgedPushSurvivesKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var mu sync.Mutex
	acknowledged := map[string]string{}
	for round := range 6 {
		c := startChild(t, dir)
		timer := time.AfterFunc(time.Duration(100+random.IntN(700))*time.Millisecond, func() { _ = c.cmd.Process.Kill() })
		var wg sync.WaitGroup
		for worker := range 4 {
			wg.Go(func() {
				for n := 0; ; n++ {
					version := fmt.Sprintf("%d.%d.%d", round, worker, n)
					digest, err := pushTo(c.url, "hello", version, fmt.Sprintf("%s of %d", version, seed))
					if errors.Is(err, errLost) {
						return
					}
					if err != nil {
						t.Errorf("push %s: %v", version, err)
						return
					}
					mu.Lock()
					acknowledged["hello:"+version] = digest
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		timer.Stop()
		c.kill()
	}
	t.Logf("%d pushes were acknowledged", len(acknowledged))
	if len(acknowledged) == 0 {
		t.Fatal("nothing was pushed")
	}
	p := openPlace(t, filepath.Join(dir, "store"), filepath.Join(dir, "registry"))
	for _, reconciled := range []bool{false, true} {
		if reconciled {
			p.reconcileAll()
		}
		for name, digest := range acknowledged {
			checkWhole(t, p, name, digest)
		}
	}
	versions, err := listVersions(p.store, "hello")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range versions { // the ones that nobody was told of are whole, too
		checkWhole(t, p, v.Name, v.Status.Digest)
	}
}

func checkWhole(t *testing.T, p *place, name, digest string) {
	t.Helper()
	v, ok := p.version(name)
	if !ok || v.Status.Digest != digest || len(v.Status.Conditions) > 0 {
		t.Errorf("%s: %v %+v, want %s", name, ok, v.Status, digest)
		return
	}
	_, tag, _ := strings.Cut(name, ":")
	if a := p.do(http.MethodHead, "/v2/hello/manifests/"+tag, everything, "", nil); a.header.Get("Docker-Content-Digest") != digest {
		t.Errorf("%s: the tag answers %+v", name, a)
	}
	_, layers, err := p.Config(t.Context(), digest)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	for _, l := range layers {
		r, err := p.Layer(t.Context(), l.Digest.String())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		r.Close()
	}
}

// call is a system call with the paths that it names.
type call struct {
	name  string
	paths []string
	text  string
}

var (
	callLine   = regexp.MustCompile(`^(\d+) +([a-z0-9_]+)\((.*)$`)
	resumed    = regexp.MustCompile(`^(\d+) +<\.\.\. ([a-z0-9_]+) resumed>(.*)$`)
	quotedPath = regexp.MustCompile(`"([^"]*)"`)
	fdPath     = regexp.MustCompile(`^\d+<([^>]*)>`)
)

// readTrace lists calls in the order in which they ended; those that write an
// answer, in which they began: nothing that ends later may count as before it.
func readTrace(t *testing.T, file string) []call {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var calls []call
	begun := map[string]string{}
	add := func(name, rest string) {
		if strings.Contains(rest, " = -1 ") {
			return
		}
		c := call{name: name, text: rest}
		if m := fdPath.FindStringSubmatch(rest); m != nil {
			c.paths = append(c.paths, m[1])
		}
		for _, m := range quotedPath.FindAllStringSubmatch(rest, -1) {
			c.paths = append(c.paths, m[1])
		}
		if name == "unlinkat" && len(c.paths) == 2 { // relative to an open folder
			c.paths = []string{filepath.Join(c.paths[0], c.paths[1])}
		}
		calls = append(calls, c)
	}
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSuffix(line, "\n")
		if m := resumed.FindStringSubmatch(line); m != nil {
			if m[2] != "write" {
				add(m[2], begun[m[1]]+m[3])
			}
			continue
		}
		m := callLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		before, unfinished := strings.CutSuffix(m[3], "<unfinished ...>")
		if unfinished && m[2] != "write" {
			begun[m[1]] = before
			continue
		}
		add(m[2], m[3])
	}
	return calls
}

func TestAcknowledgedMeansOnDisk(t *testing.T) {
	t.Parallel()
	strace := testtool.Require(t, "strace")
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	trace := filepath.Join(t.TempDir(), "trace")
	c := startChild(t, dir, strace, "-f", "-y", "-s", "4096", "-o", trace,
		"-e", "trace=write,pwrite64,fsync,fdatasync,mkdir,mkdirat,rename,renameat,renameat2,unlinkat,rmdir")
	if _, err := pushTo(c.url, "team/hello", "1.0.0", "one"); err != nil {
		t.Fatal(err)
	}
	if status, _, err := send(http.MethodDelete, c.url+"/v2/team/hello/manifests/1.0.0", "", nil); err != nil || status != http.StatusAccepted {
		t.Fatal(status, err)
	}
	c.end()
	calls := readTrace(t, trace)
	created := slices.IndexFunc(calls, func(c call) bool {
		return c.name == "write" && strings.Contains(c.text, "HTTP/1.1 201") && strings.Contains(c.text, "/manifests/")
	})
	deleted := len(calls) - 1
	for deleted > created && (calls[deleted].name != "write" || !strings.Contains(calls[deleted].text, "HTTP/1.1 202")) {
		deleted--
	}
	if created < 0 || deleted <= created {
		t.Fatalf("the answers are not in the trace of %d calls", len(calls))
	}
	checkSynced(t, filepath.Join(dir, "registry"), calls[:created])
	checkStored(t, calls[:created])
	checkSynced(t, filepath.Join(dir, "registry"), calls[:deleted])
	checkStored(t, calls[created:deleted])
}

// checkSynced checks that everything that was made, moved or removed in the
// registry is on disk: the folder that names it was synced afterwards and the
// content of what was moved before. What is gone itself needs nothing.
func checkSynced(t *testing.T, root string, calls []call) {
	t.Helper()
	syncedAfter := func(path string, from int) bool {
		return slices.ContainsFunc(calls[from:], func(c call) bool {
			return (c.name == "fsync" || c.name == "fdatasync") && c.paths[0] == path
		})
	}
	goneAfter := func(path string, from int) bool {
		return slices.ContainsFunc(calls[from+1:], func(c call) bool {
			return (c.name == "unlinkat" || c.name == "rmdir") && strings.HasPrefix(path+"/", c.paths[len(c.paths)-1]+"/")
		})
	}
	moved := 0
	for i, c := range calls {
		if len(c.paths) == 0 || !strings.HasPrefix(c.paths[len(c.paths)-1], root+"/") {
			continue
		}
		path := c.paths[len(c.paths)-1]
		switch c.name {
		case "mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlinkat", "rmdir":
			if !syncedAfter(filepath.Dir(path), i) && !goneAfter(path, i) {
				t.Errorf("%s of %s: its folder was not synced", c.name, path)
			}
		}
		if !strings.HasPrefix(c.name, "rename") {
			continue
		}
		moved++
		from := c.paths[len(c.paths)-2]
		if !slices.ContainsFunc(calls[:i], func(c call) bool { return c.name == "fsync" && c.paths[0] == from }) {
			t.Errorf("%s was moved to %s before its content was synced", from, path)
		}
	}
	if moved < 5 {
		t.Errorf("only %d files were moved into the registry: the trace is not what it seems", moved)
	}
}

// checkStored checks that the documents were synced after the registry.
func checkStored(t *testing.T, calls []call) {
	t.Helper()
	last := func(is func(call) bool) int {
		for i := len(calls) - 1; i >= 0; i-- {
			if is(calls[i]) {
				return i
			}
		}
		return -1
	}
	synced := last(func(c call) bool {
		return (c.name == "fsync" || c.name == "fdatasync") && strings.Contains(c.paths[0], "/store/documents.db")
	})
	written := last(func(c call) bool {
		return (c.name == "write" || strings.HasPrefix(c.name, "pwrite")) && len(c.paths) > 0 && strings.Contains(c.paths[0], "/store/documents.db")
	})
	if synced < 0 || synced < written {
		t.Errorf("the store was synced at %d and written at %d, before the answer at %d", synced, written, len(calls))
	}
}
