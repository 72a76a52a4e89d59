package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/internal/resource"
)

type instanceOutput struct {
	ETag string `header:"ETag" doc:"The revision."`
	Body resource.Instance
}

type logsInput struct {
	Name   string `path:"name" doc:"The instance's name."`
	Follow bool   `query:"follow" doc:"Go on with what is written from now on."`
	Tail   int    `query:"tail" minimum:"-1" maximum:"1000000" default:"-1" doc:"How many of the last lines; -1: all."`
	After  string `query:"after" maxLength:"100" doc:"Go on from this position instead: the one in Drover-Log-Position with the number of bytes read since added to its last number."`
}

// logWriter tells the client where in the log the answer begins, for it to go on from there later.
type logWriter struct {
	*lateWriter
	logsInput
}

func (w logWriter) After() string { return w.logsInput.After }

func (w logWriter) Begins(position string) {
	w.out.Header().Set("Drover-Log-Position", position)
	if w.Follow {
		w.begin() // the first line may be long in coming
	}
}

func (s *Server) routeInstances() {
	one := apiPrefix + "/instances/{name}"
	for _, a := range []struct {
		action  resource.Action
		summary string
	}{
		{resource.ActionRestart, "Restart an instance, out of service"},
		{resource.ActionReimage, "Replace an instance's OS disk, out of service; its data disk is kept"},
		{resource.ActionDelete, "Delete an instance, which makes its scale set one smaller"},
	} {
		name := strings.ToLower(string(a.action))
		register(s, huma.Operation{
			OperationID: name + "OneInstance", Method: http.MethodPost, Path: one + "/" + name, Tags: []string{resource.KindInstance},
			Summary: a.summary, Errors: []int{404, 409, 413, 507},
		}, func(ctx context.Context, in *bodyInput) (*instanceOutput, error) {
			return s.actOnInstance(ctx, a.action, in)
		})
		s.setBody(one+"/"+name, http.MethodPost, s.schemaOf(noBody{}))
	}
	op := huma.Operation{
		OperationID: "readLogs", Method: http.MethodGet, Path: one + "/logs", Tags: []string{resource.KindInstance},
		Summary: "What an instance wrote to its standard output and error", Errors: []int{404},
		Responses: map[string]*huma.Response{"200": {
			Description: "The lines, as they were written. A connection that breaks off means that there is more.",
			Headers:     map[string]*huma.Param{"Drover-Log-Position": {Description: "Where in the log the answer begins.", Schema: &huma.Schema{Type: huma.TypeString}}},
			Content:     map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}
	registerStream(s, op, s.logs)
}

func (s *Server) actOnInstance(ctx context.Context, action resource.Action, in *bodyInput) (*instanceOutput, error) {
	if err := may(ctx, VerbWrite, resource.KindInstance, in.Name); err != nil {
		return nil, err
	}
	if err := decodeBody(in.RawBody, &noBody{}); err != nil {
		return nil, err
	}
	i, err := s.Fleet.Operate(ctx, in.Name, action, callOf(ctx).who.String())
	if err != nil {
		return nil, err
	}
	return &instanceOutput{ETag: etag(i.Revision), Body: i}, nil
}

// logs streams an instance's log.
func (s *Server) logs(ctx context.Context, in *logsInput) (func(huma.Context), error) {
	if err := may(ctx, VerbRead, resource.KindInstance, in.Name); err != nil {
		return nil, err
	}
	if _, err := s.Store.Get(ctx, resource.KindInstance, in.Name); err != nil {
		return nil, err
	}
	leave, err := s.enterStream(callOf(ctx).who)
	if err != nil {
		return nil, err
	}
	return func(hc huma.Context) {
		defer leave()
		s.stream(hc, stream{
			contentType: "text/plain; charset=utf-8",
			write: func(ctx context.Context, w *lateWriter) error {
				return s.Logs.Logs(ctx, in.Name, in.Tail, in.Follow, logWriter{w, *in})
			},
		})
	}, nil
}
