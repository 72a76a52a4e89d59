package control

import (
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
)

func TestCertificatesCondition(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	served := func(source string, life, left time.Duration) wire.CertificateFacts {
		return wire.CertificateFacts{Source: source, NotBefore: now.Add(left - life), NotAfter: now.Add(left)}
	}
	with := func(f wire.CertificateFacts, problem string) wire.CertificateFacts { f.Problem = problem; return f }
	good := served("certificates/0", 90*day, 60*day)
	for name, c := range map[string]struct {
		list   []wire.CertificateFacts
		status bool
		reason string
		says   string
	}{
		"well":                        {[]wire.CertificateFacts{good}, true, "", ""},
		"two weeks of a year":         {[]wire.CertificateFacts{served("a", 365*day, 15*day)}, true, "", ""},
		"less":                        {[]wire.CertificateFacts{served("a", 365*day, 13*day)}, false, "ExpiresSoon", "a: the certificate expires at 2026-12-04T12:00:00Z"},
		"a fifth of six days":         {[]wire.CertificateFacts{served("a", 6*day, 2*day)}, true, "", ""},
		"less of that":                {[]wire.CertificateFacts{served("a", 6*day, day)}, false, "ExpiresSoon", "a: "},
		"over":                        {[]wire.CertificateFacts{good, served("a", 90*day, -time.Second)}, false, "Expired", "a: the certificate that is served expired at"},
		"over, and not to be renewed": {[]wire.CertificateFacts{with(served("a", 90*day, -day), "no key")}, false, "Expired", "expired at 2026-11-20T12:00:00Z: no key"},
		"not to be renewed":           {[]wire.CertificateFacts{with(good, "no key")}, false, "NotRenewed", "until 2027-01-20T12:00:00Z: no key"},
		"never there":                 {[]wire.CertificateFacts{good, {Source: "acme/a", Problem: "it was not issued yet"}}, false, "NotServed", "acme/a: it was not issued yet"},
		"the worst of all":            {[]wire.CertificateFacts{served("a", 90*day, day), {Source: "b", Problem: "x"}, with(good, "no key")}, false, "NotServed", "; b: x; certificates/0: "},
	} {
		got := certificatesCondition(c.list, now)
		if got.Status != c.status || got.Reason != c.reason || !strings.Contains(got.Message, c.says) || c.status && got.Message != "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// A status that says it all already is not written again, and one that TLS was taken
// from says nothing of it.
func TestCertifiedStatus(t *testing.T) {
	now := time.Now()
	list := []wire.CertificateFacts{{Source: "certificates/0", Names: []string{"a"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}}
	listening := resource.Condition{Type: resource.ConditionListening, Status: true}
	was := resource.LoadBalancerStatus{Address: "127.0.0.1:1", Conditions: []resource.Condition{listening}}
	first := certified(was, list, now)
	if len(first.Conditions) != 2 || len(first.Certificates) != 1 || !first.Certificates[0].NotAfter.Equal(list[0].NotAfter) || len(was.Conditions) != 1 {
		t.Fatalf("got %+v of %+v", first, was)
	}
	if again := certified(first, list, now.Add(time.Minute)); !again.Conditions[1].Since.Equal(now) {
		t.Errorf("it is news that nothing is: %+v", again)
	}
	if none := certified(first, nil, now); len(none.Conditions) != 1 || none.Certificates != nil {
		t.Errorf("without TLS: %+v", none)
	}
}
