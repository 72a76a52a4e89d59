package resource

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
}

const (
	ProtocolHTTP = "http"
	ProtocolTCP  = "tcp"
	BackendHTTP1 = "http1"
	BackendH2C   = "h2c" // HTTP/2 without TLS, by prior knowledge
)

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
	Address    string          `json:"address,omitempty"`
	Conditions List[Condition] `json:"conditions"`
}

// ConditionListening is true with an address, false with the reason of the failure to bind.
const ConditionListening = "Listening"

// ConditionNotApplied is there while the gateway serves an older spec than the
// one written, or none; its message says why.
const ConditionNotApplied = "NotApplied"
