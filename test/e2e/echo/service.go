package echo

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/droverhq/drover/internal/load"
	"github.com/droverhq/drover/internal/sample"
)

// Text is the message of all methods.
type Text = wrapperspb.StringValue

const (
	name      = "drover.test.Echo"
	countPace = 100 * time.Millisecond
)

// Service serves Say, Count and Talk.
func Service(p sample.Program) (path string, h http.Handler) {
	server := grpc.NewServer()
	server.RegisterService(description(), &service{p})
	context.AfterFunc(p.Ending, server.Stop)
	return "/" + name + "/", server
}

type echoer interface {
	say(context.Context, *Text) (*Text, error)
}

func description() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: name,
		HandlerType: (*echoer)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Say", Handler: handleSay}},
		Streams: []grpc.StreamDesc{
			{StreamName: "Count", Handler: handleCount, ServerStreams: true},
			{StreamName: "Talk", Handler: handleTalk, ServerStreams: true, ClientStreams: true},
		},
	}
}

func handleSay(s any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var in Text
	if err := decode(&in); err != nil {
		return nil, err
	}
	return s.(*service).say(ctx, &in)
}

func handleCount(s any, stream grpc.ServerStream) error { return s.(*service).count(stream) }

func handleTalk(s any, stream grpc.ServerStream) error { return s.(*service).talk(stream) }

type service struct{ program sample.Program }

// begin writes the call down and says who has it.
func (s *service) begin(ctx context.Context) error {
	in, _ := metadata.FromIncomingContext(ctx)
	for _, nonce := range in.Get(load.NonceHeader) {
		if err := s.program.Note(http.MethodPost, nonce); err != nil {
			return err
		}
	}
	who := metadata.Pairs(load.VersionHeader, s.program.Version, load.InstanceHeader, s.program.Instance)
	if err := grpc.SetTrailer(ctx, who); err != nil {
		return err
	}
	return grpc.SendHeader(ctx, who)
}

// say answers with what was said. Silence is an error.
func (s *service) say(ctx context.Context, in *Text) (*Text, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	if in.GetValue() == "" {
		return nil, status.Error(codes.InvalidArgument, "nothing was said")
	}
	return in, nil
}

// count tells one number after the other from the one that it was given on, until
// it or the program is ended.
func (s *service) count(stream grpc.ServerStream) error {
	var in Text
	if err := stream.RecvMsg(&in); err != nil {
		return err
	}
	n, err := strconv.Atoi(in.GetValue())
	if err != nil {
		return status.Error(codes.InvalidArgument, "that is no number")
	}
	if err := s.begin(stream.Context()); err != nil {
		return err
	}
	ticks := time.NewTicker(countPace)
	defer ticks.Stop()
	for ; ; n++ {
		if err := stream.SendMsg(&Text{Value: strconv.Itoa(n)}); err != nil {
			return err
		}
		select {
		case <-ticks.C:
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		}
	}
}

// talk answers everything that is said until the client has finished.
func (s *service) talk(stream grpc.ServerStream) error {
	if err := s.begin(stream.Context()); err != nil {
		return err
	}
	for {
		var in Text
		if err := stream.RecvMsg(&in); err != nil {
			return finished(err)
		}
		if err := stream.SendMsg(&in); err != nil {
			return err
		}
	}
}
