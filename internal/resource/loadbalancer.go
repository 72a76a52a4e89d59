package resource

import (
	"strconv"
	"strings"
)

// LoadBalancer says what to listen on and where to send.
type LoadBalancer = Object[LoadBalancerSpec, LoadBalancerStatus]

const KindLoadBalancer = "LoadBalancer"

type LoadBalancerSpec struct {
	Listen          string             `json:"listen"` // HOST:PORT
	Protocol        string             `json:"protocol"`
	BackendProtocol string             `json:"backendProtocol"`
	Backend         *Backend           `json:"backend,omitempty"`
	Routes          []Route            `json:"routes,omitempty"`
	Probe           *Probe             `json:"probe,omitempty"`
	DrainTimeout    Duration           `json:"drainTimeout"`
	QueueTimeout    Duration           `json:"queueTimeout"`
	TrustedProxies  []string           `json:"trustedProxies,omitempty"`
	Limits          LoadBalancerLimits `json:"limits"`
	Affinity        *Affinity          `json:"affinity,omitempty"`
	AccessLog       *AccessLog         `json:"accessLog,omitempty"`
	TLS             *LoadBalancerTLS   `json:"tls,omitempty"`
}

const (
	ProtocolHTTP = "http"
	ProtocolTCP  = "tcp"
	BackendHTTP1 = "http1"
	BackendH2C   = "h2c" // HTTP/2 without TLS, by prior knowledge
)

// SessionCookie is the console's: no workload may see it.
const SessionCookie = "drover_session"

// Backend is a ScaleSet by name or a list of addresses. It is written as a
// string or as {addresses: [host:port]}.
type Backend struct {
	Set       string
	Addresses []string
}

// Route sends what matches Host and Path to Backend: exact host, then *.host,
// then none; the longest path prefix that ends at a "/".
type Route struct {
	Host    string  `json:"host,omitempty"`
	Path    string  `json:"path,omitempty"`
	Backend Backend `json:"backend"`
}

// Probe admits at this balancer only. Absent: the set's health; for addresses a TCP connect.
type Probe struct {
	Path               string   `json:"path,omitempty"`
	Interval           Duration `json:"interval"`
	Timeout            Duration `json:"timeout"`
	UnhealthyThreshold int      `json:"unhealthyThreshold"`
	HealthyThreshold   int      `json:"healthyThreshold"`
}

// Affinity sends a client's requests to the instance that it was given first, by a
// cookie of that name, as long as that one may be picked.
type Affinity struct {
	Cookie string `json:"cookie"`
}

// AccessLog has a line of JSON written to File for every request. A file that would
// become longer than MaxBytes is renamed to File.1, and so on up to Keep.
type AccessLog struct {
	File     string `json:"file"`
	MaxBytes Bytes  `json:"maxBytes"`
	Keep     int    `json:"keep"`
}

// Rotates says whether a file is what this one is renamed to.
func (l AccessLog) Rotates(file string) bool {
	number, ok := strings.CutPrefix(file, l.File+".")
	n, err := strconv.Atoi(number)
	return ok && err == nil && strconv.Itoa(n) == number && n > 0
}

// LoadBalancerLimits: 0 means none.
type LoadBalancerLimits struct {
	MaxHeaderBytes          Bytes    `json:"maxHeaderBytes"`
	MaxBodyBytes            Bytes    `json:"maxBodyBytes"`
	MaxConnections          int      `json:"maxConnections"`
	MaxConnectionsPerClient int      `json:"maxConnectionsPerClient"`
	HeaderTimeout           Duration `json:"headerTimeout"`
	RequestTimeout          Duration `json:"requestTimeout"`
	IdleTimeout             Duration `json:"idleTimeout"`
	MaxQueue                int      `json:"maxQueue"`
}

type LoadBalancerStatus struct {
	// Address is what is listened on; with port 0 in the spec, the port that was given.
	Address string `json:"address,omitempty"`
	// RedirectAddress is where clients are redirected from, likewise.
	RedirectAddress string          `json:"redirectAddress,omitempty"`
	Conditions      List[Condition] `json:"conditions"`
	// Certificates are what TLS is served with.
	Certificates []CertificateStatus `json:"certificates,omitempty"`
}

// ConditionListening is true with an address, false with the reason of the failure to bind.
const ConditionListening = "Listening"

// ConditionNotApplied is there while the gateway serves an older spec than the
// one written, or none; its message says why.
const ConditionNotApplied = "NotApplied"

// ConditionAccessLogFailing is there while lines of the access log cannot be written;
// its message says why.
const ConditionAccessLogFailing = "AccessLogFailing"
