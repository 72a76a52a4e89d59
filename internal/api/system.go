package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// downTimeout bounds how long all instances together may take to stop.
const downTimeout = time.Hour

type none struct{}

// Status is what `drover status` shows.
type Status struct {
	Version  string       `json:"version"`
	Revision int64        `json:"revision"`
	System   *SystemState `json:"system,omitempty" doc:"Absent for a token with a scope."`
	Sets     []SetStatus  `json:"sets" doc:"Those that the token's scope covers."`
	// Balancers are there for callers that may read them.
	Balancers []BalancerStatus `json:"balancers" doc:"Load balancers that the token may read."`
	// Recovery names documents of all sets: only callers without a scope see it.
	Recovery *store.Recovery `json:"recovery,omitempty" doc:"What was set aside when damaged files were found, and what may be missing."`
}

// SetStatus sums up one scale set.
type SetStatus struct {
	Name       string               `json:"name"`
	Image      string               `json:"image" doc:"What the spec asks for."`
	Version    string               `json:"version,omitempty" doc:"What runs."`
	Capacity   int                  `json:"capacity"`
	Instances  resource.Tally       `json:"instances"`
	Rollout    string               `json:"rollout,omitempty" doc:"The rollout that runs."`
	Conditions []resource.Condition `json:"conditions,omitempty"`
}

// BalancerStatus sums up one load balancer.
type BalancerStatus struct {
	Name       string               `json:"name"`
	Address    string               `json:"address,omitempty" doc:"Where it listens."`
	Conditions []resource.Condition `json:"conditions,omitempty"`
}

type statusOutput struct{ Body Status }

// Down is the answer when everything has stopped.
type Down struct {
	Stopped bool `json:"stopped"`
}

type downOutput struct{ Body Down }

func (s *Server) routeSystem() {
	register(s, huma.Operation{
		OperationID: "status", Method: http.MethodGet, Path: apiPrefix + "/status", Tags: []string{"System"},
		Summary: "The server, its gateway and its sets at a glance",
	}, s.status)
	registerStream(s, huma.Operation{
		OperationID: "backup", Method: http.MethodGet, Path: apiPrefix + "/backup", Tags: []string{"System"},
		Summary: "A tar of documents, keys and gallery", Errors: []int{507},
		Responses: map[string]*huma.Response{"200": {
			Description: "The backup. A connection that breaks means that it is not complete.",
			Content:     map[string]*huma.MediaType{"application/x-tar": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
		}},
	}, s.backup)
	register(s, huma.Operation{
		OperationID: "acknowledgeRecovery", Method: http.MethodPost, Path: apiPrefix + "/status/acknowledge", Tags: []string{"System"},
		Summary:     "Take note of what was repaired, so that the status no longer shows it",
		Description: "Files that were set aside stay where they are, and recovered instances go on. Without a report nothing happens.",
	}, s.acknowledge)
	huma.Register(s.api, s.complete(huma.Operation{
		OperationID: "down", Method: http.MethodPost, Path: apiPrefix + "/down", Tags: []string{"System"},
		Summary: "Stop all instances, the gateway and the server; documents and data stay",
	}), s.down)
}

func (s *Server) status(ctx context.Context, _ *none) (*statusOutput, error) {
	who := callOf(ctx).who
	out := Status{Version: s.Version, Revision: s.Store.Revision(), Sets: []SetStatus{}, Balancers: []BalancerStatus{}}
	if who.May(VerbRead, "", "", "") {
		state := s.System.State(ctx)
		out.System, out.Recovery = &state, s.Store.Recovery()
	}
	sets, err := s.Store.List(ctx, resource.KindScaleSet, store.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, d := range sets.Items {
		if who.May(VerbRead, resource.KindScaleSet, d.Name, "") {
			out.Sets = append(out.Sets, sumUp(d))
		}
	}
	out.Balancers, err = s.balancerStatus(ctx)
	return &statusOutput{out}, err
}

func (s *Server) balancerStatus(ctx context.Context) ([]BalancerStatus, error) {
	list := []BalancerStatus{}
	all, err := s.Store.List(ctx, resource.KindLoadBalancer, store.ListOptions{})
	for _, d := range all.Items {
		if !callOf(ctx).who.May(VerbRead, resource.KindLoadBalancer, d.Name, "") {
			continue
		}
		one := BalancerStatus{Name: d.Name}
		if lb, err := resource.From[resource.LoadBalancerSpec, resource.LoadBalancerStatus](d); err == nil {
			one.Address, one.Conditions = lb.Status.Address, lb.Status.Conditions
		}
		list = append(list, one)
	}
	return list, err
}

// Acknowledged is the report that the status no longer shows.
type Acknowledged struct {
	Recovery *store.Recovery `json:"recovery,omitempty" doc:"Absent: there was none."`
}

type acknowledgedOutput struct{ Body Acknowledged }

// acknowledge answers the report that it ends: nobody loses one unread, not even
// one of a repair since they looked.
func (s *Server) acknowledge(ctx context.Context, _ *none) (*acknowledgedOutput, error) {
	if err := allow(ctx, VerbAdminister, "", ""); err != nil {
		return nil, err
	}
	report := s.Store.Recovery() // only opening the store makes a new one
	if err := s.Store.AcknowledgeRecovery(); err != nil {
		return nil, err
	}
	return &acknowledgedOutput{Acknowledged{report}}, nil
}

// sumUp shows a set that this version cannot read by its name alone.
func sumUp(d resource.Document) SetStatus {
	set, err := resource.From[resource.ScaleSetSpec, resource.ScaleSetStatus](d)
	if err != nil {
		return SetStatus{Name: d.Name}
	}
	one := SetStatus{
		Name: set.Name, Image: set.Spec.Image, Capacity: set.Spec.Capacity, Instances: set.Status.Instances,
		Rollout: set.Status.Rollout, Conditions: set.Status.Conditions,
	}
	if set.Status.Model != nil {
		one.Version = set.Status.Model.Version
	}
	return one
}

func (s *Server) backup(ctx context.Context, _ *none) (func(huma.Context), error) {
	if err := allow(ctx, VerbAdminister, "", ""); err != nil {
		return nil, err
	}
	leave, err := s.enterStream(callOf(ctx).who)
	if err != nil {
		return nil, err
	}
	return func(hc huma.Context) {
		defer leave()
		s.stream(hc, stream{
			contentType: "application/x-tar",
			write:       func(ctx context.Context, w *lateWriter) error { return s.System.Backup(ctx, w) },
		})
	}, nil
}

// down takes as long as instances take to stop.
func (s *Server) down(ctx context.Context, _ *none) (*downOutput, error) {
	if err := allow(ctx, VerbAdminister, "", ""); err != nil {
		return nil, s.problem(ctx, err)
	}
	c := callOf(ctx)
	c.endless()
	_ = c.control.SetWriteDeadline(time.Time{})
	// What was begun is done, also when the client does not wait for it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), downTimeout)
	defer cancel()
	if err := s.System.Down(ctx); err != nil {
		return nil, s.problem(ctx, err)
	}
	_ = c.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	return &downOutput{Down{Stopped: true}}, nil
}

// serveOpen answers what anyone may ask: whether the server lives and is ready, nothing more.
func (s *Server) serveOpen(w http.ResponseWriter, r *http.Request, c *call) {
	c.what = "GET " + r.URL.Path
	if r.URL.Path == "/readyz" {
		if err := s.System.Ready(); err != nil {
			s.log.DebugContext(r.Context(), "not ready", "error", err)
			s.writeProblem(w, r, resource.Errorf(resource.CodeUnavailable, "not ready"))
			return
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}
