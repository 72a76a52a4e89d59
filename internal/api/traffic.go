package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/droverhq/drover/internal/resource"
)

// latencyBounds are those of the histograms, in seconds.
var latencyBounds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// trafficMetrics are what the gateway counted: by a set's version, and by load balancer.
type trafficMetrics struct {
	byVersion, byBalancer countersMetrics

	connections, queued, refused, logDropped *prometheus.Desc
}

// countersMetrics are one resource.Counters, with a label for each of names.
type countersMetrics struct {
	counts  []countMetric
	latency *prometheus.Desc
}

type countMetric struct {
	desc  *prometheus.Desc
	value func(resource.Counters) uint64
}

func newTrafficMetrics() trafficMetrics {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("drover_balancer_"+name, help, []string{"balancer"}, nil)
	}
	return trafficMetrics{
		byVersion:   newCountersMetrics("drover_gateway_", "set", "version"),
		byBalancer:  newCountersMetrics("drover_balancer_", "balancer"),
		connections: desc("connections", "Clients that are connected."),
		queued:      desc("queued", "Requests, or connections of tcp, that wait for an instance."),
		refused:     desc("connections_refused_total", "Connections over a client's limit. Begins anew when a gateway was killed."),
		logDropped:  desc("access_log_dropped_total", "Lines that the access log had no room for. Begins anew when a gateway was killed."),
	}
}

func newCountersMetrics(prefix string, labels ...string) countersMetrics {
	const anew = " Begins anew when a gateway was killed."
	m := countersMetrics{latency: prometheus.NewDesc(prefix+"request_duration_seconds", "How long answered requests took, upgraded connections left out."+anew, labels, nil)}
	for _, c := range []struct {
		name, help string
		value      func(resource.Counters) uint64
	}{
		{"requests", "Requests, and connections of tcp.", func(c resource.Counters) uint64 { return c.Requests }},
		{"failed", "Requests that failed.", func(c resource.Counters) uint64 { return c.Failed }},
		{"retried", "Requests sent again and answered.", func(c resource.Counters) uint64 { return c.Retried }},
		{"cut", "Requests in flight on a process that died or at a drain's time-out.", func(c resource.Counters) uint64 { return c.Cut }},
		{"ended", "Streams that had their whole drain time-out and were closed in order.", func(c resource.Counters) uint64 { return c.Ended }},
		{"errors", "Answers 5xx by workloads.", func(c resource.Counters) uint64 { return c.Errors }},
	} {
		m.counts = append(m.counts, countMetric{prometheus.NewDesc(prefix+c.name+"_total", c.help+anew, labels, nil), c.value})
	}
	return m
}

func (m countersMetrics) describe(ch chan<- *prometheus.Desc) {
	ch <- m.latency
	for _, c := range m.counts {
		ch <- c.desc
	}
}

func (m countersMetrics) collect(ch chan<- prometheus.Metric, c resource.Counters, labels ...string) {
	for _, x := range m.counts {
		ch <- prometheus.MustNewConstMetric(x.desc, prometheus.CounterValue, float64(x.value(c)), labels...)
	}
	atMost, count, sum := resource.LatencyHistogram(c.Latency, latencyBounds)
	ch <- prometheus.MustNewConstHistogram(m.latency, count, sum, atMost, labels...)
}

func (m trafficMetrics) describe(ch chan<- *prometheus.Desc) {
	m.byVersion.describe(ch)
	m.byBalancer.describe(ch)
	for _, d := range []*prometheus.Desc{m.connections, m.queued, m.refused, m.logDropped} {
		ch <- d
	}
}

// collect shows the versions that there are instances of; a gateway that runs for
// months has seen more, and their series would never end.
func (m trafficMetrics) collect(ch chan<- prometheus.Metric, t Traffic, versions map[string]map[string]bool) {
	for set, present := range versions {
		_, byVersion, ok := t.Counters(set)
		if !ok {
			continue
		}
		for version, counters := range byVersion {
			if present[version] {
				m.byVersion.collect(ch, counters, set, version)
			}
		}
	}
	for _, b := range t.Balancers() {
		m.byBalancer.collect(ch, b.Counters, b.Name)
		for desc, n := range map[*prometheus.Desc]int{m.connections: b.Connections, m.queued: b.Queued} {
			ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(n), b.Name)
		}
		for desc, n := range map[*prometheus.Desc]uint64{m.refused: b.Refused, m.logDropped: b.LogDropped} {
			ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), b.Name)
		}
	}
}
