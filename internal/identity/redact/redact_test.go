package redact

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const secret = "s3cr3t-VALUE"

func TestStringTakesSecretsOut(t *testing.T) {
	for name, text := range map[string]string{
		"token anywhere":   "the token drv_" + secret + " was used",
		"query":            "GET /events?api-version=1&code=" + secret + "&x=1",
		"first in query":   "https://h/p?sig=" + secret,
		"encoded name":     "https://h/p?%74oken=" + secret,
		"sas key":          "https://h/p?aeg-sas-key=" + secret + "#f",
		"upper case":       "https://h/p?TOKEN=" + secret,
		"assignment":       "password=" + secret,
		"bearer":           "Authorization: Bearer " + secret,
		"basic":            "sent basic " + secret,
		"cookie":           "Cookie: a=b; session=" + secret,
		"sas header":       "aeg-sas-key: " + secret,
		"userinfo":         "https://user:" + secret + "@host/path",
		"json":             `{"name":"x","token":"` + secret + `"}`,
		"escaped json":     `"{\"password\": \"` + secret + `\"}"`,
		"json in an error": `decode {"Client_Secret":"` + secret + `"}: bad`,
	} {
		got := String(text)
		if strings.Contains(got, secret) {
			t.Errorf("%s: %s", name, got)
		}
		if !strings.Contains(got, Mark) {
			t.Errorf("%s: no mark in %q", name, got)
		}
		if again := String(got); strings.Contains(again, secret) {
			t.Errorf("%s: a second pass undid it: %s", name, again)
		}
	}
}

func TestStringLeavesTheRest(t *testing.T) {
	for _, text := range []string{
		"", "rollout hello-3 Succeeded", "GET /api/v1/scalesets?watch=true&after=17",
		"exit status 1", `{"name":"hello","revision":3}`, "http://127.0.0.1:8080/path", "tokens=3", "encode=x",
		"error code: 12",
	} {
		if got := String(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

type valuer struct{}

func (valuer) LogValue() slog.Value {
	return slog.GroupValue(slog.String("password", secret), slog.String("note", "drv_"+secret))
}

type account struct {
	Name     string
	Password string
	hidden   string
}

func TestHandlerTakesSecretsOut(t *testing.T) {
	link, err := url.Parse("https://h/p?token=" + secret)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]func(*slog.Logger){
		"message":      func(l *slog.Logger) { l.Info("used drv_" + secret) },
		"attribute":    func(l *slog.Logger) { l.Info("m", "token", secret) },
		"key's case":   func(l *slog.Logger) { l.Info("m", "Aeg-SAS-Key", secret) },
		"value":        func(l *slog.Logger) { l.Info("m", "url", "http://h/?code="+secret) },
		"secret key":   func(l *slog.Logger) { l.Info("m", "drv_"+secret, 1) },
		"error":        func(l *slog.Logger) { l.Info("m", "err", fmt.Errorf("get %s: %w", link, errors.New("drv_"+secret))) },
		"url":          func(l *slog.Logger) { l.Info("m", "url", link) },
		"bytes":        func(l *slog.Logger) { l.Info("m", "body", []byte("sig="+secret)) },
		"header":       func(l *slog.Logger) { l.Info("m", "h", http.Header{"Authorization": {secret}, "X": {"drv_" + secret}}) },
		"group":        func(l *slog.Logger) { l.Info("m", slog.Group("a", slog.Group("b", slog.String("cookie", secret)))) },
		"secret group": func(l *slog.Logger) { l.Info("m", slog.Group("secret", slog.String("value", secret))) },
		"with":         func(l *slog.Logger) { l.With("password", secret).Info("m") },
		"with group":   func(l *slog.Logger) { l.WithGroup("g").With(slog.Group("h", "sig", secret)).Info("m", "code", secret) },
		"valuer":       func(l *slog.Logger) { l.Info("m", "v", valuer{}) },
		"struct":       func(l *slog.Logger) { l.Info("m", "v", account{Name: "a", Password: secret}) },
		"pointer":      func(l *slog.Logger) { l.Info("m", "v", &account{Name: "a", Password: secret}) },
		"hidden field": func(l *slog.Logger) { l.Info("m", "v", account{hidden: "drv_" + secret}) },
		"map":          func(l *slog.Logger) { l.Info("m", "v", map[string]any{"x": []any{map[string]string{"token": secret}}}) },
		"no json":      func(l *slog.Logger) { l.Info("m", "v", []any{func() {}, "drv_" + secret}) },
	}
	for name, log := range cases {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			log(slog.New(Handler(slog.NewJSONHandler(&out, nil))))
			log(slog.New(Handler(slog.NewTextHandler(&out, nil))))
			if strings.Contains(out.String(), secret) {
				t.Errorf("the log holds the secret:\n%s", &out)
			}
		})
	}
}

func TestHandlerLeavesTheRest(t *testing.T) {
	log := func(h slog.Handler) {
		slog.New(h).With("set", "hello").WithGroup("g").Warn("health changed",
			"code", 502, "token", true, "took", time.Second, "at", time.Unix(1, 0), "n", uint64(3), "p", 0.5,
			"v", struct{ A, B int }{1, 2}, "nothing", nil, slog.Group("x", "y", "z"))
	}
	drop := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	var plain, clean bytes.Buffer
	log(slog.NewTextHandler(&plain, drop))
	log(Handler(slog.NewTextHandler(&clean, drop)))
	if plain.String() != clean.String() {
		t.Errorf("got  %s\nwant %s", &clean, &plain)
	}
}

func FuzzStringLeavesNoToken(f *testing.F) {
	f.Add("a", "b")
	f.Add(`{"x":"`, `"}`)
	f.Add("https://h/?token=", "&x")
	f.Fuzz(func(t *testing.T, before, after string) {
		const token = "drv_abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrst"
		if got := String(before + token + after); strings.Contains(got, token) {
			t.Errorf("%q", got)
		}
	})
}
