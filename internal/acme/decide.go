package acme

import (
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

const (
	// checkAtLeast is how often an order is looked at that waits for nothing.
	checkAtLeast = 6 * time.Hour
	longestWait  = 6 * time.Hour
)

// order is one certificate: of a name, from a directory.
type order struct{ directory, name string }

// ordersOf are those that a load balancer asks for.
func ordersOf(lb resource.LoadBalancer) (list []order) {
	if lb.Spec.TLS == nil || lb.Spec.TLS.ACME == nil {
		return nil
	}
	for _, name := range lb.Spec.TLS.ACME.Names {
		list = append(list, order{authority(lb.Spec.TLS.ACME.Directory), name})
	}
	return list
}

// due is when a certificate is to be renewed: when a third of its time is left.
func due(leaf *x509.Certificate) time.Time {
	return leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 3)
}

// attempt is how an order has gone so far. The zero value is one that was not tried.
type attempt struct {
	Failures int       `json:"failures"`
	Next     time.Time `json:"next"` // not before
	Error    string    `json:"error"`
	// Asked is what was asked for: something else begins anew.
	Asked string `json:"asked"`
}

// failed is the attempt after one more failure.
func (a attempt) failed(err error, asked string, first time.Duration, now time.Time) attempt {
	wait := longestWait
	if a.Failures < 30 {
		wait = min(first<<a.Failures, longestWait)
	}
	return attempt{Failures: a.Failures + 1, Next: now.Add(wait), Error: oneLine(err), Asked: asked}
}

// maxError bounds what an authority's answer takes in a document.
const maxError = 500

func oneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > maxError {
		text = strings.ToValidUTF8(text[:maxError], "") + "…"
	}
	return text
}

// state is what is known of an order.
type state struct {
	order
	leaf    *x509.Certificate // nil: none was issued
	attempt attempt
}

// condition says how a load balancer's orders are.
func condition(states []state, now time.Time) resource.Condition {
	c := resource.Condition{Type: resource.ConditionOrdered, Status: true}
	var messages []string
	for _, s := range states {
		reason, text := s.trouble(now)
		if text == "" {
			continue
		}
		messages = append(messages, s.name+": "+text)
		if c.Status || reason == "OrderFailed" || c.Reason == "Ordering" {
			c.Status, c.Reason = false, reason
		}
	}
	c.Message = strings.Join(messages, "; ")
	return c
}

// trouble says what is the matter with an order; nothing: it is issued, and no renewal failed.
func (s state) trouble(now time.Time) (reason, text string) {
	switch {
	case s.leaf != nil && (s.attempt.Failures == 0 || now.Before(due(s.leaf))):
		return "", ""
	case s.attempt.Failures == 0:
		return "Ordering", "it is being ordered"
	case s.leaf == nil:
		reason = "OrderFailed"
	default:
		reason = "RenewalFailed"
	}
	return reason, fmt.Sprintf("%s (failed %d times; tried again after %s)", s.attempt.Error, s.attempt.Failures, s.attempt.Next.UTC().Format(time.RFC3339))
}
