package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/internal/resource"
)

// Most that any set can be; a set's own limit is checked where it is written.
const maxCapacity = 10_000

type bodyInput struct {
	Name    string `path:"name" doc:"The document's name."`
	RawBody []byte `contentType:"application/json"`
}

type rolloutOutput struct {
	Status   int
	Location string `header:"Location"`
	ETag     string `header:"ETag" doc:"The revision."`
	Body     resource.Rollout
}

type setOutput struct {
	ETag string `header:"ETag" doc:"The revision, for If-Match."`
	Body resource.ScaleSet
}

type startBody struct {
	Image    string               `json:"image,omitempty" example:"hello:2.0.0" doc:"NAME:M.m.p, NAME@sha256:… or NAME; absent: the stored spec is meant."`
	Strategy resource.UpgradeMode `json:"strategy,omitempty" doc:"Absent: the set's own."`
	Force    bool                 `json:"force,omitempty" doc:"Also to a model that is known to be bad, which forgets that."`
}

type pauseBody struct {
	For resource.Duration `json:"for,omitempty" doc:"How long at most; absent: 24h. Then it goes back."`
}

type scaleBody struct {
	Capacity *int `json:"capacity" required:"true" minimum:"0" maximum:"10000"`
}

func (s *Server) routeRollouts() {
	set := apiPrefix + "/scalesets/{name}"
	registerStream(s, huma.Operation{
		OperationID: "startRollout", Method: http.MethodPost, Path: set + "/rollout", Tags: []string{resource.KindRollout},
		Summary: "Start a rollout of a set", DefaultStatus: http.StatusCreated, Errors: []int{404, 409, 413, 507},
		Responses: s.startAnswers(),
	}, s.startRollout)
	s.setBody(set+"/rollout", http.MethodPost, s.schemaOf(startBody{}))
	register(s, huma.Operation{
		OperationID: "scale", Method: http.MethodPost, Path: set + "/scale", Tags: []string{resource.KindScaleSet},
		Summary: "Change a set's capacity", Errors: []int{404, 409, 413, 507},
	}, s.scale)
	s.setBody(set+"/scale", http.MethodPost, s.schemaOf(scaleBody{}))

	for _, a := range []struct{ name, summary string }{
		{"pause", "Hold a rollout where it is"}, {"resume", "Let a paused rollout go on"},
		{"cancel", "End a rollout and go back, without calling its model bad"},
		{"promote", "Let a rollout that waits for it move the traffic"},
	} {
		path := apiPrefix + "/rollouts/{name}/" + a.name
		register(s, huma.Operation{
			OperationID: a.name + "Rollout", Method: http.MethodPost, Path: path, Tags: []string{resource.KindRollout},
			Summary: a.summary, Errors: []int{404, 409, 413, 507},
		}, func(ctx context.Context, in *bodyInput) (*rolloutOutput, error) { return s.ask(ctx, a.name, in) })
		s.setBody(path, http.MethodPost, s.askSchema(a.name))
	}
	s.routeRollback()
}

func (s *Server) routeRollback() {
	path := apiPrefix + "/rollouts/{name}/rollback"
	op := huma.Operation{
		OperationID: "rollbackRollout", Method: http.MethodPost, Path: path, Tags: []string{resource.KindRollout},
		Summary: "Go back to what ran before", Errors: []int{404, 409, 413, 507},
		Responses: answers("201", "The new rollout that undoes a finished one.", s.schemaOf(resource.Rollout{})),
	}
	register(s, op, s.rollback)
	s.setBody(path, http.MethodPost, s.schemaOf(noBody{}))
}

// noBody is what actions without parameters take.
type noBody struct{}

func (s *Server) askSchema(action string) *huma.Schema {
	if action == "pause" {
		return s.schemaOf(pauseBody{})
	}
	return s.schemaOf(noBody{})
}

func (s *Server) startAnswers() map[string]*huma.Response {
	all := answers("201", "The rollout.", s.schemaOf(resource.Rollout{}))
	all["204"] = &huma.Response{Description: "The set runs that model already: there is nothing to roll out."}
	return all
}

// startAnswer is the new rollout, or nothing when the set runs that model already.
func startAnswer(r resource.Rollout) func(huma.Context) {
	return func(ctx huma.Context) {
		if r.Name == "" {
			ctx.SetStatus(http.StatusNoContent)
			return
		}
		ctx.SetHeader("Content-Type", "application/json")
		ctx.SetHeader("Location", apiPrefix+"/rollouts/"+r.Name)
		ctx.SetHeader("ETag", etag(r.Revision))
		ctx.SetStatus(http.StatusCreated)
		// A client that is gone by now finds its rollout by its name.
		_ = json.NewEncoder(ctx.BodyWriter()).Encode(r)
	}
}

func (s *Server) startRollout(ctx context.Context, in *bodyInput) (func(huma.Context), error) {
	if err := may(ctx, VerbStart, resource.KindScaleSet, in.Name); err != nil {
		return nil, err
	}
	var body startBody
	if err := decodeBody(in.RawBody, &body); err != nil {
		return nil, err
	}
	if body.Image != "" {
		if _, err := resource.ParseImageRef(body.Image); err != nil {
			return nil, badField("/image", err.Error())
		}
	}
	c := callOf(ctx)
	if err := s.mayStart(ctx, in.Name, body.Image); err != nil {
		return nil, err
	}
	c.force = body.Force
	r, err := s.Fleet.StartRollout(ctx, in.Name, RolloutRequest{Image: body.Image, Strategy: body.Strategy, Force: body.Force, By: c.who.String()})
	if err != nil {
		return nil, err
	}
	if r.Name != "" {
		c.touched = []string{resource.KindRollout + " " + r.Name}
	}
	return startAnswer(r), nil
}

func rolloutAnswer(status int, r resource.Rollout) *rolloutOutput {
	out := &rolloutOutput{Status: status, ETag: etag(r.Revision), Body: r}
	if status == http.StatusCreated {
		out.Location = apiPrefix + "/rollouts/" + r.Name
	}
	return out
}

func (s *Server) scale(ctx context.Context, in *bodyInput) (*setOutput, error) {
	if err := may(ctx, VerbWrite, resource.KindScaleSet, in.Name); err != nil {
		return nil, err
	}
	var body scaleBody
	if err := decodeBody(in.RawBody, &body); err != nil {
		return nil, err
	}
	if body.Capacity == nil || *body.Capacity < 0 || *body.Capacity > maxCapacity {
		return nil, badField("/capacity", "write a number from 0 to 10000")
	}
	set, err := s.Fleet.Scale(ctx, in.Name, *body.Capacity)
	if err != nil {
		return nil, err
	}
	return &setOutput{ETag: etag(set.Revision), Body: set}, nil
}

// ask steers a running rollout.
func (s *Server) ask(ctx context.Context, action string, in *bodyInput) (*rolloutOutput, error) {
	if err := may(ctx, VerbWrite, resource.KindRollout, in.Name); err != nil {
		return nil, err
	}
	ask := resource.Ask{Action: action, By: callOf(ctx).who.String()}
	switch action {
	case "pause":
		var body pauseBody
		if err := decodeBody(in.RawBody, &body); err != nil {
			return nil, err
		}
		ask.For = body.For
	default:
		if err := decodeBody(in.RawBody, &noBody{}); err != nil {
			return nil, err
		}
	}
	r, err := s.Fleet.Ask(ctx, in.Name, ask)
	if err != nil {
		return nil, err
	}
	return rolloutAnswer(http.StatusOK, r), nil
}

func (s *Server) rollback(ctx context.Context, in *bodyInput) (*rolloutOutput, error) {
	if err := may(ctx, VerbWrite, resource.KindRollout, in.Name); err != nil {
		return nil, err
	}
	if err := decodeBody(in.RawBody, &noBody{}); err != nil {
		return nil, err
	}
	r, made, err := s.Fleet.Rollback(ctx, in.Name, callOf(ctx).who.String())
	if err != nil {
		return nil, err
	}
	if made {
		return rolloutAnswer(http.StatusCreated, r), nil
	}
	return rolloutAnswer(http.StatusOK, r), nil
}
