package wire

import "time"

// Protocol is the version of Apply and Poll.
const Protocol = 3

// Names of the calls.
const (
	OpHello  = "hello"
	OpAttach = "attach"
	OpApply  = "apply"
	OpPoll   = "poll"
	OpStop   = "stop"
)

// Hello says who answers. It asks for nothing and changes nothing.
type Hello struct {
	Protocol    int      `json:"protocol"`
	Version     string   `json:"version"`
	Incarnation string   `json:"incarnation"`
	Identity    Identity `json:"identity"`
}

// Attached begins an epoch. Its files are the Sockets, in order.
type Attached struct {
	Epoch   int64    `json:"epoch"`
	Applied Snapshot `json:"applied"`
	Sockets []Socket `json:"sockets,omitempty"`
}

// Apply gives the gateway a snapshot. Its files are the sockets in New, in order.
type Apply struct {
	Epoch    int64    `json:"epoch"`
	Snapshot Snapshot `json:"snapshot"`
	New      []Socket `json:"new,omitempty"`
}

// Applied confirms a snapshot: every socket that is not in it has been closed.
type Applied struct {
	Generation int64 `json:"generation"`
	// Errors says why a balancer kept its previous state, by its name.
	Errors map[string]string `json:"errors,omitempty"`
}

// Poll asks for facts later than After, and waits for them at most Wait.
type Poll struct {
	Epoch int64         `json:"epoch"`
	After uint64        `json:"after"`
	Wait  time.Duration `json:"wait"`
}

// Stop ends the gateway: it stops accepting, finishes what is in flight (at most
// each balancer's drain time-out) and exits. With Handover it first gives up the
// socket and the lock, and only then answers, so that a successor may start at once.
type Stop struct {
	Epoch    int64 `json:"epoch"`
	Handover bool  `json:"handover,omitempty"`
}
