package api

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

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
}

func (s *Server) routeInstances() {
	one := apiPrefix + "/instances/{name}"
	for _, a := range []struct{ name, summary string }{
		{"restart", "Restart an instance"}, {"reimage", "Replace an instance's OS disk; its data disk is kept"},
		{"delete", "Delete an instance"},
	} {
		register(s, huma.Operation{
			OperationID: a.name + "OneInstance", Method: http.MethodPost, Path: one + "/" + a.name, Tags: []string{resource.KindInstance},
			Summary: a.summary, Errors: []int{404, 409, 413, 507},
		}, func(ctx context.Context, in *bodyInput) (*instanceOutput, error) {
			return s.actOnInstance(ctx, a.name, in)
		})
		s.setBody(one+"/"+a.name, http.MethodPost, s.schemaOf(noBody{}))
	}
	op := huma.Operation{
		OperationID: "readLogs", Method: http.MethodGet, Path: one + "/logs", Tags: []string{resource.KindInstance},
		Summary: "What an instance wrote to its standard output and error", Errors: []int{404},
		Responses: map[string]*huma.Response{"200": {
			Description: "The lines, as they were written.",
			Content:     map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}
	registerStream(s, op, s.logs)
}

func (s *Server) actOnInstance(ctx context.Context, action string, in *bodyInput) (*instanceOutput, error) {
	if err := may(ctx, VerbWrite, resource.KindInstance, in.Name); err != nil {
		return nil, err
	}
	if err := decodeBody(in.RawBody, &noBody{}); err != nil {
		return nil, err
	}
	if s.Instances == nil {
		return nil, resource.Errorf(resource.CodeUnsupported, "%s of a single instance is not yet supported", action)
	}
	i, err := s.Instances.ActOnInstance(ctx, in.Name, action, callOf(ctx).who.String())
	if err != nil {
		return nil, err
	}
	return &instanceOutput{ETag: etag(i.Revision), Body: i}, nil
}

// logs streams an instance's log. Without follow it ends where the log ended
// when it was asked for.
func (s *Server) logs(ctx context.Context, in *logsInput) (func(huma.Context), error) {
	if err := may(ctx, VerbRead, resource.KindInstance, in.Name); err != nil {
		return nil, err
	}
	if _, err := s.Store.Get(ctx, resource.KindInstance, in.Name); err != nil {
		return nil, err
	}
	leave, err := s.enterStream()
	if err != nil {
		return nil, err
	}
	ctx, cancel := s.until(ctx)
	log, err := s.Logs.Logs(ctx, in.Name, LogOptions{Follow: in.Follow, Tail: in.Tail})
	if err != nil {
		cancel()
		leave()
		return nil, err
	}
	return func(hc huma.Context) {
		defer leave()
		defer cancel()
		defer log.Close()
		s.copyLog(ctx, hc, log, in.Follow)
	}, nil
}

func (s *Server) copyLog(ctx context.Context, hc huma.Context, log io.Reader, follow bool) {
	_, out := humago.Unwrap(hc)
	c := callOf(ctx)
	c.endless()
	out.Header().Set("Content-Type", "text/plain; charset=utf-8")
	out.WriteHeader(http.StatusOK)
	w := &flushWriter{w: out, control: c.control, interval: s.Heartbeat, asked: time.Now()}
	if follow {
		w.before = func() error { return s.gate.stillIn(ctx, c) }
		_ = c.control.Flush() // the first line may be long in coming
	}
	if _, err := io.Copy(w, log); err != nil && ctx.Err() == nil {
		// Half a log must not look like a whole one.
		s.log.WarnContext(ctx, "a log was not sent to its end", "error", err)
		panic(http.ErrAbortHandler)
	}
}
