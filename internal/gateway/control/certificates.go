package control

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"strings"
	"time"

	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
)

const (
	// certificatesAge is how often certificates are looked at for having come near their end.
	certificatesAge = time.Minute
	// A certificate ends soon when less than a fifth of its time is left, or two weeks.
	soonShare = 5
	soonMost  = 14 * 24 * time.Hour
)

// reportCertificates writes into the load balancers' status what the gateway serves
// TLS with, until ctx ends. A crash before it is written: the next control process
// is told the same.
func (c *Control) reportCertificates(ctx context.Context) error {
	t := time.NewTicker(certificatesAge)
	defer t.Stop()
	warned := ""
	for {
		err := c.writeCertificates(ctx, time.Now())
		again := (<-chan time.Time)(nil)
		if err == nil {
			warned = ""
		} else {
			again = time.After(retryBind)
			if text := err.Error(); text != warned && ctx.Err() == nil && !errors.Is(err, errUnread) {
				warned = text
				c.o.Logger.Warn("The status of certificates could not be written", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.certified:
		case <-t.C:
		case <-again:
		}
	}
}

// addOrdered says where the gateway finds what is ordered for its balancers.
func (c *Control) addOrdered(w *wire.Snapshot) {
	for i := range w.Balancers {
		b := &w.Balancers[i]
		if c.o.Ordered == nil || b.Spec.TLS == nil || b.Spec.TLS.ACME == nil {
			continue
		}
		for _, name := range b.Spec.TLS.ACME.Names {
			b.Ordered = append(b.Ordered, c.o.Ordered(b.Spec.TLS.ACME.Directory, name))
		}
	}
}

// errUnread says that it is too early.
var errUnread = errors.New("the documents were not read yet")

// writeCertificates writes what is news.
func (c *Control) writeCertificates(ctx context.Context, now time.Time) error {
	facts := c.certificates()
	wanted := map[string]resource.LoadBalancerStatus{}
	read := c.view.with(func(d documents) {
		for name, list := range facts {
			b, ok := d.balancers[name]
			if !ok {
				continue
			}
			if s := certified(b.Status, list, now); !reflect.DeepEqual(s, b.Status) {
				wanted[name] = s
			}
		}
	})
	if !read {
		return errUnread
	}
	for name := range wanted {
		err := c.edit(ctx, name, func(s *resource.LoadBalancerStatus, now time.Time) { *s = certified(*s, facts[name], now) })
		if err != nil {
			return err
		}
	}
	return nil
}

// certified is a status that says what is served, and whether all is well with it.
func certified(s resource.LoadBalancerStatus, list []wire.CertificateFacts, now time.Time) resource.LoadBalancerStatus {
	s.Certificates = nil
	for _, f := range list {
		one := resource.CertificateStatus{Source: f.Source, Names: f.Names, Problem: f.Problem}
		if !f.NotAfter.IsZero() {
			from, to := f.NotBefore.UTC(), f.NotAfter.UTC()
			one.NotBefore, one.NotAfter = &from, &to
		}
		s.Certificates = append(s.Certificates, one)
	}
	s.Conditions = append(resource.List[resource.Condition](nil), s.Conditions...)
	if len(list) == 0 {
		s.Conditions = resource.ClearCondition(s.Conditions, resource.ConditionCertificates)
		return s
	}
	cond := certificatesCondition(list, now)
	cond.Since = now
	s.Conditions = resource.SetCondition(s.Conditions, cond)
	return s
}

// The reasons why certificates are not well, the worst one first.
var certificateReasons = []string{"Expired", "NotServed", "NotRenewed", "ExpiresSoon"}

// certificatesCondition sums up: the reason is the worst one, the message has all.
func certificatesCondition(list []wire.CertificateFacts, now time.Time) resource.Condition {
	cond := resource.Condition{Type: resource.ConditionCertificates, Status: true}
	worst := len(certificateReasons)
	var messages []string
	for _, f := range list {
		reason, message := certificateTrouble(f, now)
		if message == "" {
			continue
		}
		worst = min(worst, reason)
		messages = append(messages, f.Source+": "+message)
	}
	if len(messages) > 0 {
		cond.Status, cond.Reason, cond.Message = false, certificateReasons[worst], strings.Join(messages, "; ")
	}
	return cond
}

// certificateTrouble says what is the matter with one; an empty message: nothing.
func certificateTrouble(f wire.CertificateFacts, now time.Time) (reason int, message string) {
	until := f.NotAfter.UTC().Format(time.RFC3339)
	switch left := f.NotAfter.Sub(now); {
	case f.NotAfter.IsZero():
		return 1, cmp.Or(f.Problem, "there is none yet")
	case left <= 0:
		return 0, "the certificate that is served expired at " + until + because(f.Problem)
	case f.Problem != "":
		return 2, "the certificate from before is served, until " + until + because(f.Problem)
	case left < min(soonMost, f.NotAfter.Sub(f.NotBefore)/soonShare):
		return 3, "the certificate expires at " + until
	}
	return 0, ""
}

func because(problem string) string {
	if problem == "" {
		return ""
	}
	return ": " + problem
}
