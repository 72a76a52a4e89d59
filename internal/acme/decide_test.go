package acme

import (
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/droverhq/drover/internal/resource"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestWaitsBetweenFailures(t *testing.T) {
	var a attempt
	var waits []time.Duration
	for range 40 {
		a = a.failed(errors.New("it\nfailed"), "front@1", time.Minute, now)
		waits = append(waits, a.Next.Sub(now))
	}
	if waits[0] != time.Minute || waits[1] != 2*time.Minute || waits[8] != 256*time.Minute || waits[9] != longestWait || waits[39] != longestWait {
		t.Errorf("the waits are %v", waits)
	}
	if a.Failures != 40 || a.Error != "it failed" || a.Asked != "front@1" {
		t.Errorf("got %+v", a)
	}
	if long := (attempt{}).failed(errors.New(strings.Repeat("ä", 1000)), "", time.Minute, now).Error; len(long) > maxError+len("…") || !strings.HasSuffix(long, "ä…") {
		t.Errorf("a long error is kept as %d bytes", len(long))
	}
}

func TestCondition(t *testing.T) {
	day := 24 * time.Hour
	leaf := func(left time.Duration) *x509.Certificate {
		return &x509.Certificate{NotBefore: now.Add(left - 90*day), NotAfter: now.Add(left)}
	}
	failed := attempt{}.failed(errors.New("no"), "", time.Minute, now)
	for name, c := range map[string]struct {
		states []state
		status bool
		reason string
		says   string
	}{
		"all issued":                  {[]state{{leaf: leaf(60 * day)}}, true, "", ""},
		"one that is due":             {[]state{{leaf: leaf(20 * day)}}, true, "", ""},
		"one that could not be":       {[]state{{order{"", "a"}, leaf(20 * day), failed}}, false, "RenewalFailed", "a: no (failed 1 times; tried again after 2026-11-21T12:01:00Z)"},
		"a failure before it was due": {[]state{{order{"", "a"}, leaf(60 * day), failed}}, true, "", ""},
		"one that was not issued":     {[]state{{leaf: leaf(60 * day)}, {order{"", "b"}, nil, failed}}, false, "OrderFailed", "b: no"},
		"one that is ordered":         {[]state{{order: order{"", "a"}}}, false, "Ordering", "a: it is being ordered"},
		"the worst of all":            {[]state{{order{"", "a"}, leaf(20 * day), failed}, {order{"", "b"}, nil, failed}, {order: order{"", "c"}}}, false, "OrderFailed", "c: it is being ordered"},
	} {
		got := condition(c.states, now)
		if got.Type != resource.ConditionOrdered || got.Status != c.status || got.Reason != c.reason || !strings.Contains(got.Message, c.says) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestDue(t *testing.T) {
	leaf := &x509.Certificate{NotBefore: now, NotAfter: now.Add(90 * time.Hour)}
	if got := due(leaf); !got.Equal(now.Add(60 * time.Hour)) {
		t.Errorf("due at %s", got)
	}
}

// Nothing but Let's Encrypt is asked for a trial, and the gateway knows where to look.
func TestFiles(t *testing.T) {
	f := FilesOf("/data/acme", "", "a.example")
	if len(f.Challenges) != 2 || !strings.Contains(f.Challenges[0], "acme-v02") || !strings.Contains(f.Challenges[1], "acme-staging-v02") {
		t.Errorf("challenges of Let's Encrypt: %v", f.Challenges)
	}
	if FilesOf("/data/acme", certmagic.LetsEncryptProductionCA, "a.example").Cert != f.Cert {
		t.Error("Let's Encrypt by name is another authority")
	}
	own := FilesOf("/data/acme", "https://ca.example/dir", "a.example")
	if len(own.Challenges) != 1 || own.Cert == f.Cert || filepath.Dir(own.Cert) != filepath.Dir(own.Key) {
		t.Errorf("got %+v", own)
	}
}

func TestAttemptsOutliveTheProcess(t *testing.T) {
	dir, quiet := t.TempDir(), slog.New(slog.DiscardHandler)
	a := openAttempts(dir, quiet)
	failed := attempt{}.failed(errors.New("no"), "front@1", time.Minute, now)
	a.set("k", failed)
	a.set("gone", failed)
	a.set("gone", attempt{})
	b := openAttempts(dir, quiet)
	if b.get("k") != failed || b.get("gone") != (attempt{}) {
		t.Errorf("kept is %+v", b.list)
	}
	if err := os.WriteFile(b.path, []byte(`{"k":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := openAttempts(dir, quiet).get("k"); got != (attempt{}) {
		t.Errorf("a torn file holds %+v", got)
	}
}
