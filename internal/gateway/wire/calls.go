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
	OpLeave  = "leave"

	// What a gateway that leaves says to its successor:
	OpSucceed = "succeed"
	OpTake    = "take"
	OpInherit = "inherit"
)

// Hello says who answers. It asks for nothing and changes nothing.
type Hello struct {
	Protocol    int      `json:"protocol"`
	Version     string   `json:"version"`
	Incarnation string   `json:"incarnation"`
	Identity    Identity `json:"identity"`
	// Program is the file that runs; empty: it cannot be told from another.
	Program string `json:"program,omitempty"`
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

// Leave has the gateway give way to the one that stands by: it stops accepting, has
// that one succeed it and answers then; on an error it goes on as before. It lives on
// as the one that leaves until its connections have ended.
type Leave struct {
	Epoch int64 `json:"epoch"`
	// Generation is what it has applied, and Rehearsed what the other one is to serve
	// by: the same, unless the two speak other protocols.
	Generation int64 `json:"generation"`
	Rehearsed  int64 `json:"rehearsed"`
}

// Succeed tells the gateway that stands by what its predecessor knew when it stopped
// accepting. Its one file is the lock. It serves when it answers.
type Succeed struct {
	Rehearsed int64 `json:"rehearsed"`
	Facts     Facts `json:"facts"`
}

// Take gives the successor connections on which nothing has come since their last
// answer. Its files are those of Conns, in order. They are its own when it answers.
type Take struct {
	Conns []IdleConn `json:"conns"`
}

// IdleConn is a client's connection that waits for a request.
type IdleConn struct {
	Balancer string `json:"balancer"`
	// First: it has carried no request yet.
	First bool `json:"first,omitempty"`
	// Age is for how long it has waited.
	Age time.Duration `json:"age"`
}

// Inherit is the last word of a gateway that left: what it counted, and its drains.
type Inherit struct {
	Facts Facts `json:"facts"`
}
