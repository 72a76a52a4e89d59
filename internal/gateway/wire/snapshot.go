package wire

import (
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// Snapshot is all that a gateway knows of the documents. It is always whole.
type Snapshot struct {
	// Generation is the store's revision that it was built from.
	Generation int64      `json:"generation"`
	Sets       []Set      `json:"sets,omitempty"`
	Balancers  []Balancer `json:"balancers,omitempty"`
	// Sockets are all listening sockets that the gateway shall hold. It accepts
	// on those that a balancer names; the others it only keeps from being taken.
	Sockets []Socket `json:"sockets,omitempty"`
	// Metadata is the metadata endpoint of the instances; nil: none is served.
	Metadata *Metadata `json:"metadata,omitempty"`
	// AffinityKey is what the keys of members are made with, the same in every gateway.
	AffinityKey []byte `json:"affinityKey,omitempty"`
	// HostPaths says how files that documents name are opened.
	HostPaths resource.HostPaths `json:"hostPaths,omitzero"`
}

// Metadata says where and how the metadata endpoint is served.
type Metadata struct {
	Socket string `json:"socket"`
	// LinkLocal is the socket at the address that clouds use; empty: it is not served there.
	LinkLocal string `json:"linkLocal,omitempty"`
	// Rate is how many requests an instance may send in a second.
	Rate float64 `json:"rate"`
}

// Socket is a listening socket by name, with the address it is bound to.
type Socket struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

// Set is a scale set with all its instances that have an address, in service or not.
type Set struct {
	Name string `json:"name"`
	// Check is the set's health check; nil: the network is not asked and Instance.Healthy is the truth.
	Check *Check `json:"check,omitempty"`
	// Weights are the colours' shares of the requests; nil: whoever is in service is the same.
	Weights   map[resource.Colour]int `json:"weights,omitempty"`
	Instances []Instance              `json:"instances,omitempty"`
	// Tags are the set's labels; Events are what all its instances are told.
	Tags   map[string]string         `json:"tags,omitempty"`
	Events *resource.ScheduledEvents `json:"events,omitempty"`
}

// Instance is where one copy can be reached, and whether it may be picked.
type Instance struct {
	Name      string             `json:"name"`
	Address   string             `json:"address"`
	Version   string             `json:"version,omitempty"`
	Colour    resource.Colour    `json:"colour,omitempty"`
	Admission resource.Admission `json:"admission"`
	// PID and StartedAt tell one process of the instance from the next.
	PID       int       `json:"pid,omitempty"`
	StartedAt time.Time `json:"startedAt,omitzero"`
	// Healthy is what was known last: it counts until this gateway's own probes say otherwise.
	Healthy bool `json:"healthy,omitempty"`
	// Secret is the SHA-256 of what opens the metadata endpoint to this instance.
	Secret []byte `json:"secret,omitempty"`
	// What the instance can read of itself there.
	ID        string             `json:"id,omitempty"`
	Image     string             `json:"image,omitempty"`
	Placement resource.Placement `json:"placement,omitzero"`
	// Validate is asked once of this process, as soon as it is healthy; nil: nothing.
	Validate *Validate `json:"validate,omitempty"`
	// Renewing: what it was told is being done to it. The next process is not told of it.
	Renewing bool `json:"renewing,omitempty"`
}

// Validate is an HTTP GET of Path that must be answered by exactly Expect.
type Validate struct {
	Path    string        `json:"path"`
	Expect  int           `json:"expect"`
	Timeout time.Duration `json:"timeout"`
}

// Check is a probe: an HTTP GET of Path that must answer exactly 200, or a TCP
// connect when Path is empty.
type Check struct {
	Path               string        `json:"path,omitempty"`
	H2C                bool          `json:"h2c,omitempty"` // asked by HTTP/2
	Interval           time.Duration `json:"interval"`
	Timeout            time.Duration `json:"timeout"`
	UnhealthyThreshold int           `json:"unhealthyThreshold"`
	HealthyThreshold   int           `json:"healthyThreshold"`
}

// Ordered is a certificate that the control process orders. The files are Drover's own.
type Ordered struct {
	Name     string `json:"name"`
	CertFile string `json:"certFile"`
	KeyFile  string `json:"keyFile"`
	// Challenges are files that say, while they are there, how to answer an
	// authority that makes sure whose the name is.
	Challenges []string `json:"challenges,omitempty"`
}

// Balancer is a load balancer and the socket that it accepts on.
type Balancer struct {
	Name   string `json:"name"`
	Socket string `json:"socket"`
	// Redirect is the socket from which clients are sent to Socket by HTTPS; empty: none.
	Redirect string                    `json:"redirect,omitempty"`
	Spec     resource.LoadBalancerSpec `json:"spec"`
	// Ordered are the certificates that are ordered for it by names, in the spec's order.
	Ordered []Ordered `json:"ordered,omitempty"`
	// Up are the addresses that were admitted at this balancer when last known: a hint as Instance.Healthy is.
	Up []string `json:"up,omitempty"`
	// Preview: it reaches the instances of this colour only, and those that are out of
	// service; nothing that it does is counted for a version.
	Preview resource.Colour `json:"preview,omitempty"`
}
