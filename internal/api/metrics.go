package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// meter is what the API counts about itself. Labels are bounded: routes are
// patterns, never paths; methods that no route has are "other".
type meter struct {
	registry *prometheus.Registry
	handler  http.Handler
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	refused  prometheus.Counter
	streams  prometheus.Gauge
}

func newMeter(s *Server) *meter {
	m := &meter{
		registry: s.Metrics,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drover_api_requests_total", Help: "Requests by route and status.",
		}, []string{"method", "route", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "drover_api_request_duration_seconds", Help: "How long requests took, streams left out.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"method", "route"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "drover_api_refused_total", Help: "Requests without a valid token.",
		}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "drover_api_streams", Help: "Watches and followed logs that are open.",
		}),
	}
	if m.registry == nil {
		m.registry = prometheus.NewRegistry()
		m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	m.registry.MustRegister(m.requests, m.duration, m.refused, m.streams, newStateCollector(s))
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: requestTimeout})
	return m
}

func (m *meter) observe(method string, c *call, status int, took time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(method, c.what, strconv.Itoa(status)).Inc()
	if !c.stream { // how long somebody watched says nothing about the server
		m.duration.WithLabelValues(method, c.what).Observe(took.Seconds())
	}
}

// stateCollector reads the store and the gateway's counters when it is asked,
// so that nothing has to be kept up to date.
type stateCollector struct {
	server *Server

	info, revision, documents, instances *prometheus.Desc
	notAfter, problem                    *prometheus.Desc
	traffic                              trafficMetrics
}

func newStateCollector(s *Server) *stateCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("drover_"+name, help, labels, nil)
	}
	return &stateCollector{
		server:    s,
		info:      desc("info", "Always 1.", "version"),
		revision:  desc("store_revision", "The revision of the last write."),
		documents: desc("documents", "Documents by kind.", "kind"),
		instances: desc("instances", "Instances by set, health and admission.", "set", "health", "admission"),
		notAfter:  desc("gateway_certificate_not_after_seconds", "When the certificate that is served ends, in seconds since 1970.", "balancer", "source"),
		problem:   desc("gateway_certificate_problem", "1: what is in the files of a certificate is not served.", "balancer", "source"),
		traffic:   newTrafficMetrics(),
	}
}

func (c *stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.info, c.revision, c.documents, c.instances, c.notAfter, c.problem} {
		ch <- d
	}
	c.traffic.describe(ch)
}

func (c *stateCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(c.info, 1, c.server.Version)
	gauge(c.revision, float64(c.server.Store.Revision()))
	versions := map[string]map[string]bool{}
	for _, k := range resource.Kinds {
		l, err := c.server.Store.List(ctx, k.Name, store.ListOptions{})
		if err != nil {
			ch <- prometheus.NewInvalidMetric(c.documents, err)
			return
		}
		gauge(c.documents, float64(len(l.Items)), k.Name)
		switch k.Name {
		case resource.KindInstance:
			for key, n := range tally(l.Items, versions) {
				gauge(c.instances, float64(n), key.set, key.health, key.admission)
			}
		case resource.KindScaleSet:
			addSets(l.Items, versions)
		case resource.KindLoadBalancer:
			c.collectCertificates(gauge, l.Items)
		}
	}
	if c.server.Traffic != nil {
		c.traffic.collect(ch, c.server.Traffic, versions)
	}
}

// collectCertificates shows what load balancers serve TLS with.
func (c *stateCollector) collectCertificates(gauge func(*prometheus.Desc, float64, ...string), balancers []resource.Document) {
	for _, d := range balancers {
		var s struct{ Certificates []resource.CertificateStatus }
		if json.Unmarshal(d.Status, &s) != nil {
			continue
		}
		for _, one := range s.Certificates {
			problem := 0.0
			if one.Problem != "" {
				problem = 1
			}
			gauge(c.problem, problem, d.Name, one.Source)
			if one.NotAfter != nil {
				gauge(c.notAfter, float64(one.NotAfter.Unix()), d.Name, one.Source)
			}
		}
	}
}

type instanceKey struct{ set, health, admission string }

// tally counts instances, and notes which versions there are.
func tally(instances []resource.Document, versions map[string]map[string]bool) map[instanceKey]int {
	n := map[instanceKey]int{}
	for _, d := range instances {
		var s struct{ Set, Version, Health, Admission string }
		if json.Unmarshal(d.Status, &s) != nil {
			continue
		}
		n[instanceKey{s.Set, s.Health, s.Admission}]++
		note(versions, s.Set, s.Version)
	}
	return n
}

func addSets(sets []resource.Document, versions map[string]map[string]bool) {
	for _, d := range sets {
		note(versions, d.Name, "")
	}
}

func note(versions map[string]map[string]bool, set, version string) {
	if versions[set] == nil {
		versions[set] = map[string]bool{}
	}
	versions[set][version] = true
}
