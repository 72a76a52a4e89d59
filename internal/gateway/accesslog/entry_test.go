package accesslog

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

const secret = "s3cr3t-VALUE"

// plain is a log that only makes lines.
func plain() *Log {
	return &Log{balancer: "front", secrets: secrets{
		named:  func(name string) bool { return strings.EqualFold(name, "token") || name == "sig" || name == "code" },
		prefix: []byte("drv_"),
	}}
}

func TestALine(t *testing.T) {
	for _, c := range []struct {
		name  string
		entry Entry
		want  string
	}{
		{"all that there is", Entry{
			Began: time.Date(2026, 1, 31, 13, 0, 0, 12_345_678, time.FixedZone("", 3600)), Client: netip.MustParseAddr("fd00::1"),
			ForwardedFor: []byte("10.1.2.3"), Method: []byte("GET"), Host: []byte("shop.example:80"), Path: []byte("/a"), Query: []byte("?b=c"),
			Protocol: "HTTP/1.1", Status: 200, BytesIn: 1, BytesOut: 2, Took: 1_234_567, FirstByte: time.Millisecond, Queued: 5 * time.Second,
			Set: "hello", Version: "1.0.0", Instance: "hello_1", Attempts: 2, Outcome: Answered, UserAgent: []byte(`a "b"`), TLS: "TLS 1.3",
		}, `{"time":"2026-01-31T12:00:00.012Z","balancer":"front","client":"fd00::1","forwardedFor":"10.1.2.3","method":"GET",` +
			`"host":"shop.example:80","path":"/a?b=c","protocol":"HTTP/1.1","status":200,"bytesIn":1,"bytesOut":2,"durationMs":1.235,"firstByteMs":1,"queueMs":5000,` +
			`"set":"hello","version":"1.0.0","instance":"hello_1","attempts":2,"outcome":"answered","userAgent":"a \"b\"","tls":"TLS 1.3"}` + "\n"},
		{"little", Entry{Began: time.Unix(0, 0), Outcome: Refused, Status: 400},
			`{"time":"1970-01-01T00:00:00.000Z","balancer":"front","status":400,"bytesIn":0,"bytesOut":0,"durationMs":0,"queueMs":0,"attempts":0,"outcome":"refused"}` + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, string(plain().appendLine(nil, &c.entry))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSecretsAreTakenOut(t *testing.T) {
	for text, want := range map[string]string{
		"/plain?x=1&y=2":                                  "/plain?x=1&y=2",
		"/p?token=" + secret:                              "/p?token=[redacted]",
		"/p?x=1&TOKEN=" + secret + "&y=2":                 "/p?x=1&TOKEN=[redacted]&y=2",
		"/p?x=1;sig=" + secret + ";y":                     "/p?x=1;sig=[redacted];y",
		"/p?%74oken=" + secret:                            "/p?%74oken=[redacted]",
		"/p?to%6ben=" + secret + "=" + secret:             "/p?to%6ben=[redacted]",
		"/p;token=" + secret + "/q":                       "/p;token=[redacted]/q",
		"/token=" + secret:                                "/token=[redacted]",
		"/p?u=http%3A%2F%2Fh%2F%3Fsig%3D" + secret:        "/p?u=[redacted]",
		"/p?u=http%253A%252F%252Fh%253Fsig%253D" + secret: "/p?u=[redacted]",
		"/p?http%3A%2F%2Fh%2F%3Fsig%3D" + secret:          "/p?[redacted]",
		"/p?u=a=b":                                        "/p?u=a=b",
		"/p?x=drv_" + secret:                              "/p?x=[redacted]",
		"/drv_" + secret + "/x":                           "/[redacted]/x",
		"/p?x=%64rv_" + secret:                            "/p?x=[redacted]",
		"/p?x=%zz&token=%zz" + secret:                     "/p?x=%zz&token=[redacted]",
		"/p?token":                                        "/p?token",
		"/p?=x&&;;":                                       "/p?=x&&;;",
		"/encode=x?tokens=3":                              "/encode=x?tokens=3",
	} {
		path, query, _ := strings.Cut(text, "?")
		if query != "" {
			query = "?" + query
		}
		line := plain().appendLine(nil, &Entry{Path: []byte(path), Query: []byte(query), UserAgent: []byte("x/1 (drv_" + secret + "; token=" + secret + ")")})
		if bytes.Contains(line, []byte(secret)) {
			t.Errorf("%s: the line has the secret: %s", text, line)
		}
		var got struct{ Path string }
		if err := json.Unmarshal(line, &got); err != nil {
			t.Errorf("%s: %v: %s", text, err, line)
		}
		if got.Path != want {
			t.Errorf("%s became %s", text, got.Path)
		}
	}
}

func FuzzLinesAreJSON(f *testing.F) {
	f.Add([]byte("/a\x00\xff\"\\"), []byte("?token=\u2028&é"), []byte("curl"))
	f.Fuzz(func(t *testing.T, path, query, agent []byte) {
		line := plain().appendLine(nil, &Entry{Path: path, Query: query, UserAgent: agent, Host: path})
		if len(line) > maxLine || bytes.Count(line, []byte("\n")) != 1 || !utf8.Valid(line) {
			t.Fatalf("%d bytes: %q", len(line), line)
		}
		var got struct{ Host, UserAgent string }
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		if want := strings.ToValidUTF8(string(cut(path, maxOther)), "\ufffd"); utf8.Valid(cut(path, maxOther)) && got.Host != want {
			t.Errorf("%q became %q", path, got.Host)
		}
	})
}
