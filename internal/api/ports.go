package api

import (
	"context"
	"io"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// Verb is what a caller wants to do, as far as authorisation tells apart.
type Verb string

const (
	VerbRead       Verb = "read"
	VerbStart      Verb = "start"      // start a rollout of a set
	VerbWrite      Verb = "write"      // create, replace, delete and all other actions
	VerbAdminister Verb = "administer" // backup, down; asked without a kind
)

// Principal is who makes a request.
type Principal interface {
	// String is the token's name, for the audit log.
	String() string
	// May decides by role and scope. Kind is empty for what is no document; owner is
	// the document's resource.OwnerOf.
	May(v Verb, kind, name, owner string) bool
	// MayList says whether a list of that kind can hold anything for the caller. An
	// empty list would say that there is nothing, which is not the same.
	MayList(kind string) bool
}

// Authenticator knows who holds a secret. What is not known, expired or revoked
// is a *resource.Error with CodeUnauthenticated.
type Authenticator interface {
	Authenticate(ctx context.Context, secret string) (Principal, error)
}

// Tokens makes and ends tokens. It refuses to give more than by holds.
type Tokens interface {
	Create(ctx context.Context, by Principal, name string, spec resource.TokenSpec) (secret string, token resource.Token, err error)
	Revoke(ctx context.Context, name string) error
}

// PutRequest is how a document is put.
type PutRequest struct {
	Force  bool
	DryRun bool // the transaction is rolled back; only for messages
	By     Principal
}

// PutResult is what a put did, or in a dry run would do.
type PutResult struct {
	Document resource.Document
	Rollout  string // the name of the rollout that it started
	Warnings []string
}

// Writer holds the rules of one kind. Put runs inside a write transaction: it
// does no I/O, and its error rolls everything back. The document is decoded,
// defaulted, validated and carries the old status; old is nil when it is new.
type Writer interface {
	Put(tx *store.Tx, old *resource.Document, d resource.Document, r PutRequest) (PutResult, error)
}

// Deleter takes a document out of service and deletes it, or begins to.
type Deleter interface {
	// Delete reports done when the document is gone; otherwise it goes by itself
	// from here on. A revision other than 0 is the one that it must still have.
	Delete(ctx context.Context, d resource.Document, r DeleteRequest) (done bool, err error)
}

// DeleteRequest is how a document is deleted.
type DeleteRequest struct {
	Revision int64 // from If-Match; 0: any
	By       Principal
}

// Fleet changes scale sets, their rollouts and their instances.
type Fleet interface {
	// StartRollout writes the set's image, if one is given, and the rollout in one
	// transaction. The answer has no name when the set runs that model already.
	StartRollout(ctx context.Context, set string, r RolloutRequest) (resource.Rollout, error)
	// Ask passes a pause, resume, cancel or promote on to a running rollout.
	Ask(ctx context.Context, rollout string, ask resource.Ask) (resource.Rollout, error)
	// Rollback turns a running rollout round. Of a finished one it makes a new one and says so.
	Rollback(ctx context.Context, rollout, by string) (r resource.Rollout, made bool, err error)
	// Scale changes a set's capacity.
	Scale(ctx context.Context, set string, capacity int) (resource.ScaleSet, error)
	// Operate asks for something to be done to one instance, and answers with the
	// instance: its operation is what will be done.
	Operate(ctx context.Context, instance string, action resource.Action, by string) (resource.Instance, error)
}

// RolloutRequest asks for a rollout. Without an image the stored spec is meant.
type RolloutRequest struct {
	Image    string
	Strategy resource.UpgradeMode
	Force    bool
	By       string
}

// Logs writes the last tail lines of an instance's output to w (-1: all) and, with
// follow, every one to come until ctx ends. A log that is not there yet is empty.
// It asks w for After, the position to go on from in place of the last lines, and
// tells it with Begins which one the first byte has.
type Logs interface {
	Logs(ctx context.Context, instance string, tail int, follow bool, w io.Writer) error
}

// Traffic are a set's counters since the gateway's incarnation began; false: no gateway answers.
type Traffic interface {
	Counters(set string) (incarnation string, byVersion map[string]resource.Counters, ok bool)
	// Balancers are the load balancers' figures of the moment; none when no gateway answers.
	Balancers() []BalancerTraffic
}

// BalancerTraffic is what the gateway tells of one load balancer.
type BalancerTraffic struct {
	Name                string
	Connections, Queued int
	// Refused are connections over a client's limit, LogDropped lines of the access log without room.
	Refused, LogDropped uint64
	Counters            resource.Counters
}

// HostFiles says which files of the machine documents may name.
type HostFiles interface {
	// Allow says why a path may not be named, by an Owner or by anybody else.
	Allow(path string, owner bool) error
	// Check says why a file could not be used now. One that is made need not be there.
	Check(path string, made bool) error
}

// System is the process around the API.
type System interface {
	// Ready says why requests cannot be served, or nil. Anyone can ask.
	Ready() error
	// State is what `drover status` shows beside the documents.
	State(ctx context.Context) SystemState
	// Backup writes a tar of documents, keys and gallery.
	Backup(ctx context.Context, w io.Writer) error
	// Down stops all instances and the gateway and returns when they are gone.
	// The process ends after the answer was sent.
	Down(ctx context.Context) error
}

// SystemState is what only the running process knows.
type SystemState struct {
	StartedAt time.Time    `json:"startedAt"`
	Gateway   GatewayState `json:"gateway"`
	Disk      DiskState    `json:"disk"`
}

// GatewayState is the data plane as the control process sees it.
type GatewayState struct {
	State       string    `json:"state" doc:"For example Running, Starting or Unreachable."`
	Incarnation string    `json:"incarnation,omitempty"`
	PID         int       `json:"pid,omitempty"`
	StartedAt   time.Time `json:"startedAt,omitzero"`
	// Applied is the revision of the documents that it routes by.
	Applied int64  `json:"applied,omitempty"`
	Detail  string `json:"detail,omitempty"`
}

// DiskState is the file system of the data folder.
type DiskState struct {
	Path string         `json:"path,omitempty"`
	Free resource.Bytes `json:"free"`
	Size resource.Bytes `json:"size"`
	// Full: new work is refused until space is freed.
	Full bool `json:"full"`
}
