package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/droverhq/drover/internal/testtool"
)

// witness is a backend that tells what requests it understood.
type witness struct {
	mu   sync.Mutex
	seen []string
}

func (w *witness) note(request string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, request)
}

func (w *witness) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	w.seen = nil
	return seen
}

func (g *rig) goWitness() *witness {
	w := &witness{}
	g.serve("go", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // it never came whole
		}
		w.note(strings.TrimSpace(fmt.Sprintf("%s %s %q", r.Method, r.RequestURI, body)))
	}))
	return w
}

// pythonServer is http.server with what it leaves to its user: bodies.
const pythonServer = `
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        whole = b""
        while True:
            size = self.rfile.readline()
            if not size: raise EOFError
            size = int(size.split(b";")[0], 16)
            if size == 0: break
            whole += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline() not in (b"\r\n", b""): pass
        return whole
    def answer(self):
        body = self.body()
        print(self.command, self.path, body.hex(), flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    do_GET = do_POST = do_OPTIONS = answer
    def log_message(self, *a): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
`

func (g *rig) pythonWitness() *witness {
	g.t.Helper()
	cmd := exec.Command(testtool.Require(g.t, "python3"), "-c", pythonServer)
	out, err := cmd.StdoutPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		g.t.Fatal("python3 serves nothing")
	}
	w := &witness{}
	var wg sync.WaitGroup
	address := "127.0.0.1:" + lines.Text()
	wg.Go(func() {
		for lines.Scan() {
			var method, path string
			var body []byte
			_, _ = fmt.Sscanf(lines.Text(), "%s %s %x", &method, &path, &body)
			w.note(fmt.Sprintf("%s %s %q", method, path, body))
		}
	})
	g.t.Cleanup(func() {
		g.finish()
		_ = cmd.Process.Kill()
		wg.Wait()
		_ = cmd.Wait()
	})
	g.add("python", address)
	return w
}

// Whatever a client sends is refused, or understood by everybody alike: what two
// backends saw is compared with what was meant, request by request.
func TestNothingIsSmuggled(t *testing.T) {
	g := newRig(t)
	t.Run("Go", func(t *testing.T) { smuggle(t, g, g.goWitness()) })
	g = newRig(t)
	t.Run("Python", func(t *testing.T) { smuggle(t, g, g.pythonWitness()) })
}

func smuggle(t *testing.T, g *rig, w *witness) {
	const end = "GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	for _, v := range vectors {
		answers := g.talk(v.in + end)
		want := slices.Clone(v.want)
		refused := len(want) > 0 && strings.HasPrefix(want[len(want)-1], "refused")
		if refused {
			status := strings.TrimPrefix(want[len(want)-1], "refused ")
			want = want[:len(want)-1]
			if i := strings.LastIndex(answers, "HTTP/1.1 "); i < 0 || !strings.HasPrefix(answers[i:], "HTTP/1.1 "+status) {
				t.Errorf("%s: answered %q", v.name, answers)
			}
		} else {
			want = append(want, `GET /end ""`)
		}
		var seen []string
		until(t, v.name, func() bool { seen = append(seen, w.take()...); return len(seen) >= len(want) })
		if !slices.Equal(seen, want) {
			t.Errorf("%s: the backend understood %q, not %q", v.name, seen, want)
		}
	}
}

const (
	post    = "POST /1 HTTP/1.1\r\nHost: a\r\n"
	hidden  = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
	chunked = "Transfer-Encoding: chunked\r\n"
	length0 = "Content-Length: 0\r\n"
	body0   = "\r\n0\r\n\r\n"
)

var (
	refused400 = []string{"refused 400"}
	refused501 = []string{"refused 501"}
	both       = []string{`POST /1 ""`, `GET /hidden ""`}
)

// vectors are whole connections. What is tried in each is that one program sees
// other requests in it than the next one.
var vectors = []struct {
	name, in string
	want     []string
}{
	{"pipelined", post + length0 + "\r\n" + hidden, both},
	{"a body that looks like a request", post + "Content-Length: 33\r\n\r\n" + hidden[:33], []string{fmt.Sprintf("POST /1 %q", hidden[:33])}},
	{"chunks that look like a request", post + chunked + fmt.Sprintf("\r\n%x\r\n", len(hidden)) + hidden + "\r\n0\r\n\r\n", []string{fmt.Sprintf("POST /1 %q", hidden)}},
	{"chunks, pipelined", post + chunked + "\r\n3\r\nabc\r\n0\r\n\r\n" + hidden, []string{`POST /1 "abc"`, `GET /hidden ""`}},
	{"a body of a GET", "GET /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + hidden, []string{`GET /1 "abc"`, `GET /hidden ""`}},
	{"CL.TE", post + "Content-Length: 6\r\n" + chunked + body0 + hidden, refused400},
	{"TE.CL", post + chunked + "Content-Length: 4\r\n" + body0 + hidden, refused400},
	{"CL.CL", post + length0 + "Content-Length: 33\r\n\r\n" + hidden, refused400},
	{"CL.CL equal", post + length0 + length0 + "\r\n" + hidden, refused400},
	{"CL list", post + "Content-Length: 0, 37\r\n\r\n" + hidden, refused400},
	{"CL empty", post + "Content-Length: 33\r\nContent-Length:\r\n\r\n" + hidden, refused400},
	{"CL with a sign", post + "Content-Length: +37\r\n\r\n" + hidden, refused400},
	{"CL in hexadecimal", post + "Content-Length: 0x21\r\n\r\n" + hidden, refused400},
	{"CL that wraps around", post + "Content-Length: 18446744073709551616\r\n\r\n" + hidden, refused400},
	{"CL with a NUL", post + "Content-Length: 33\x00\r\n\r\n" + hidden, refused400},
	{"CL named by Connection", post + "Connection: Content-Length\r\nContent-Length: 3\r\n\r\nabc" + hidden, []string{`POST /1 "abc"`, `GET /hidden ""`}},
	{"CL with an underscore", post + "Content_Length: 37\r\n\r\n" + hidden, refused400},
	{"TE.TE", post + chunked + "Transfer-Encoding: x\r\n" + body0 + hidden, refused400},
	{"TE list", post + "Transfer-Encoding: x, chunked\r\n" + body0 + hidden, refused501},
	{"TE twice in a list", post + "Transfer-Encoding: chunked, chunked\r\n" + body0 + hidden, refused400},
	{"TE cut", post + "Transfer-Encoding: chunke\r\n" + body0 + hidden, refused501},
	{"TE with a space before the colon", post + length0 + "Transfer-Encoding : chunked\r\n" + body0 + hidden, refused400},
	{"TE with a space before the name", post + length0 + " Transfer-Encoding: chunked\r\n" + body0 + hidden, refused400},
	{"TE with a NUL before the colon", post + length0 + "Transfer-Encoding\x00: chunked\r\n" + body0 + hidden, refused400},
	{"TE with a vertical tab", post + length0 + "Transfer-Encoding:\x0bchunked\r\n" + body0 + hidden, refused400},
	{"TE with a tab", post + "Transfer-Encoding:\tchunked\r\n" + body0 + hidden, both},
	{"TE in capitals", post + "TRANSFER-ENCODING: CHUNKED\r\n" + body0 + hidden, both},
	{"TE folded", post + length0 + "Transfer-Encoding:\r\n chunked\r\n" + body0 + hidden, refused400},
	{"TE behind a folded field", post + length0 + "A: b\r\n\tTransfer-Encoding: chunked\r\n" + body0 + hidden, refused400},
	{"TE behind a bare CR", post + length0 + "A: b\rTransfer-Encoding: chunked\r\n" + body0 + hidden, refused400},
	{"TE behind a bare LF", post + length0 + "A: b\nTransfer-Encoding: chunked\r\n" + body0 + hidden, refused400},
	{"TE with an underscore", post + length0 + "Transfer_Encoding: chunked\r\n" + body0 + hidden, refused400},
	{"TE in HTTP/1.0", "POST /1 HTTP/1.0\r\nHost: a\r\n" + chunked + body0 + hidden, refused400},
	{"TE identity", post + length0 + "Transfer-Encoding: identity\r\n\r\n" + hidden, refused400},
	{"TE named by Connection", post + "Connection: Transfer-Encoding\r\n" + chunked + body0 + hidden, both},
	{"an empty name", post + length0 + ": 5\r\n\r\n" + hidden, refused400},
	{"a line without a colon", post + length0 + hidden, refused400},
	{"a head that ends in LF", "GET /1 HTTP/1.1\r\nHost: a\r\n\n" + hidden, refused400},
	{"two Hosts", "GET /1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", refused400},
	{"no Host", "GET /1 HTTP/1.1\r\n\r\n" + hidden, refused400},
	{"another Host than the target's", "GET http://b/1 HTTP/1.1\r\nHost: a\r\n\r\n", []string{`GET /1 ""`}},
	{"HTTP/0.9", "GET /1\r\n\r\n" + hidden, refused400},
	{"a request line in a request line", "GET / HTTP/1.1 /1 HTTP/1.1\r\nHost: a\r\n\r\n", refused400},
	{"a line break in a target", "GET /1%0d%0aHost:b HTTP/1.1\r\nHost: a\r\n\r\n", []string{`GET /1%0d%0aHost:b ""`}},
	{"a chunk's size with a sign", post + chunked + "\r\n+21\r\n" + hidden, refused400},
	{"a chunk's size in C", post + chunked + "\r\n0x21\r\n" + hidden, refused400},
	{"a chunk's size that wraps around", post + chunked + "\r\n10000000000000000\r\n" + hidden, refused400},
	{"a chunk's size with white space", post + chunked + "\r\n0 \r\n\r\n" + hidden, refused400},
	{"a chunk's size that ends in LF", post + chunked + "\r\n0\n\r\n" + hidden, refused400},
	{"a chunk longer than its size", post + chunked + "\r\n1\r\nxy\r\n0\r\n\r\n" + hidden, refused400},
	{"a chunk's data that ends in LF", post + chunked + "\r\n1\r\nx\n0\r\n\r\n" + hidden, refused400},
	{"an extension", post + chunked + "\r\n0;a=b\r\n\r\n" + hidden, both},
	{"an extension that ends in LF", post + chunked + "\r\n2;\nxx\r\n4c\r\n0\r\n\r\n" + hidden, refused400},
	{"a line in a quoted extension", post + chunked + "\r\n0;a=\"\r\n\r\n" + hidden + "\"\r\n\r\n", refused400},
	{"framing in a trailer", post + chunked + "\r\n0\r\nContent-Length: 33\r\n\r\n" + hidden, both},
	{"a disguise in a trailer", post + chunked + "\r\n0\r\nContent_Length: 37\r\n\r\n" + hidden, refused400},
	{"no trailer section", post + chunked + "\r\n0\r\n" + hidden, refused400},
}
