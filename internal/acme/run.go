package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/internal/reconcile"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// orderTimeout bounds one order.
const orderTimeout = 5 * time.Minute

// Options say where to keep what is ordered.
type Options struct {
	Store *store.Store
	// Dir is the folder; it is made.
	Dir string
	// Roots are trusted when an authority is asked; nil: those of the system.
	Roots *x509.CertPool
	// FirstWait is how long after its first failure an order is tried again; 0: a minute.
	FirstWait time.Duration
	Logger    *slog.Logger
}

// Orders orders certificates. New is inert.
type Orders struct {
	o        Options
	loop     *reconcile.Loop
	issuer   *issuer
	attempts *attempts
}

// New makes Orders; Run starts it.
func New(o Options) *Orders {
	if o.FirstWait == 0 {
		o.FirstWait = time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Orders{o: o}
	r.loop = &reconcile.Loop{
		Name: "acme", Store: o.Store, Kinds: []string{resource.KindLoadBalancer}, Logger: o.Logger,
		Keys: r.keys, List: r.list, Reconcile: r.reconcile, Workers: 4, Resync: time.Hour,
	}
	return r
}

// Run orders until ctx ends.
func (r *Orders) Run(ctx context.Context) (err error) {
	if err := os.MkdirAll(r.o.Dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of ordered certificates: %w", err)
	}
	r.attempts = openAttempts(r.o.Dir, r.o.Logger)
	if r.issuer, err = newIssuer(r.o.Dir, r.o.Roots); err != nil {
		return err
	}
	defer r.issuer.close()
	return r.loop.Run(ctx)
}

// A key is an order, or a load balancer whose condition is to be written.

const balancerKey = "/"

func (o order) key() string { return o.directory + " " + o.name }

func orderOf(key string) order {
	directory, name, _ := strings.Cut(key, " ")
	return order{directory, name}
}

func (r *Orders) keys(_ context.Context, c store.Change) []string {
	keys := []string{balancerKey + c.Document.Name}
	lb, err := resource.From[resource.LoadBalancerSpec, resource.LoadBalancerStatus](c.Document)
	if err != nil {
		return nil // a newer Drover wrote it
	}
	for _, o := range ordersOf(lb) {
		keys = append(keys, o.key())
	}
	return keys
}

func (r *Orders) list(ctx context.Context) (keys []string, err error) {
	all, err := r.o.Store.List(ctx, resource.KindLoadBalancer, store.ListOptions{})
	for _, d := range all.Items {
		keys = append(keys, r.keys(ctx, store.Change{Document: d})...)
	}
	return keys, err
}

func (r *Orders) reconcile(ctx context.Context, key string) (again time.Duration, err error) {
	if name, ok := strings.CutPrefix(key, balancerKey); ok {
		return 0, r.report(ctx, name)
	}
	return r.fulfil(ctx, orderOf(key))
}

// fulfil sees to it that a certificate is there, and says when to look again.
func (r *Orders) fulfil(ctx context.Context, o order) (again time.Duration, err error) {
	who, err := r.balancers(ctx, o)
	if err != nil || len(who) == 0 {
		return 0, err
	}
	leaf, err := r.load(o)
	if err != nil {
		return 0, err
	}
	asked := askedBy(who)
	tried := r.attempts.get(o.key())
	if tried.Asked != asked {
		tried = attempt{}
	}
	now := time.Now()
	switch {
	case leaf != nil && now.Before(due(leaf)):
		again = min(due(leaf).Sub(now), checkAtLeast)
	case now.Before(tried.Next):
		again = tried.Next.Sub(now)
	default:
		again = r.order(ctx, o, who[0].Spec.TLS.ACME.Email, leaf != nil, asked, tried)
	}
	for _, lb := range who {
		r.loop.Wake(balancerKey + lb.Name)
	}
	return again, ctx.Err()
}

// order asks the authority once, for the first certificate or the next one.
func (r *Orders) order(ctx context.Context, o order, email string, next bool, asked string, tried attempt) (again time.Duration) {
	limited, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	err := r.issuer.issue(limited, o, email, next, tried.Failures)
	switch {
	case ctx.Err() != nil:
		return 0
	case err == nil:
		r.o.Logger.Info("A certificate was issued", "name", o.name, "directory", o.directory)
		r.attempts.set(o.key(), attempt{})
		return r.o.FirstWait // to look at what it is
	}
	tried = tried.failed(err, asked, r.o.FirstWait, time.Now())
	r.o.Logger.Warn("A certificate could not be ordered", "name", o.name, "directory", o.directory,
		"error", tried.Error, "failures", tried.Failures, "next", tried.Next)
	r.attempts.set(o.key(), tried)
	return time.Until(tried.Next)
}

// load is what was issued; nil: none was. What is damaged is set aside.
func (r *Orders) load(o order) (*x509.Certificate, error) {
	f := FilesOf(r.o.Dir, o.directory, o.name)
	leaf, err := f.load()
	if err == nil {
		return leaf, nil
	}
	aside, aerr := f.setAside(time.Now())
	if aerr == nil {
		r.o.Logger.Error("A certificate is damaged, set aside, and ordered again", "name", o.name, "aside", aside, "error", err)
	}
	return nil, aerr
}

// balancers are those that ask for an order, and listen.
func (r *Orders) balancers(ctx context.Context, o order) (who []resource.LoadBalancer, err error) {
	all, err := r.o.Store.List(ctx, resource.KindLoadBalancer, store.ListOptions{})
	for _, d := range all.Items {
		lb, err := resource.From[resource.LoadBalancerSpec, resource.LoadBalancerStatus](d)
		if err == nil && lb.Status.Address != "" && slices.Contains(ordersOf(lb), o) {
			who = append(who, lb)
		}
	}
	return who, err
}

// askedBy tells what is asked for now from what was asked for before.
func askedBy(who []resource.LoadBalancer) string {
	var all []string
	for _, lb := range who {
		all = append(all, fmt.Sprintf("%s@%d", lb.Name, lb.Generation))
	}
	return strings.Join(all, ",")
}

// report writes how a load balancer's orders are.
func (r *Orders) report(ctx context.Context, name string) error {
	lb, err := store.GetAs[resource.LoadBalancerSpec, resource.LoadBalancerStatus](ctx, r.o.Store, resource.KindLoadBalancer, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var states []state
	for _, o := range ordersOf(lb) {
		leaf, _ := FilesOf(r.o.Dir, o.directory, o.name).load() // fulfil sees to the damaged
		states = append(states, state{o, leaf, r.attempts.get(o.key())})
	}
	c := condition(states, time.Now())
	if said(lb.Status.Conditions, c, len(states) > 0) {
		return nil
	}
	_, err = r.o.Store.Update(store.Essential(ctx), func(tx *store.Tx) error {
		return store.Edit(tx, resource.KindLoadBalancer, name, func(b *resource.LoadBalancer) error {
			if len(states) == 0 {
				b.Status.Conditions = resource.ClearCondition(b.Status.Conditions, resource.ConditionOrdered)
				return nil
			}
			c.Since = tx.Now()
			b.Status.Conditions = resource.SetCondition(b.Status.Conditions, c)
			return nil
		})
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// said compares what a status says with what it shall say.
func said(list []resource.Condition, c resource.Condition, wanted bool) bool {
	have := resource.FindCondition(list, c.Type)
	if have == nil || !wanted {
		return (have == nil) == !wanted
	}
	return have.Status == c.Status && have.Reason == c.Reason && have.Message == c.Message
}
