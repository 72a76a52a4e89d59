package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/droverhq/drover/internal/gateway/pool"
	"github.com/droverhq/drover/internal/resource"
)

type text = wrapperspb.StringValue

// answersCalls is what a test's gRPC server does with a call.
type answersCalls func(stream grpc.ServerStream) error

// grpcServer is one of grpc-go's own, which speaks HTTP/2 and nothing else.
type grpcServer struct {
	*grpc.Server
	address string
	serving sync.WaitGroup
}

// grpc puts a server into service that answers every call by do.
func (g *rig) grpc(name string, do answersCalls) (*grpcServer, *pool.Member) {
	g.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	s := &grpcServer{address: l.Addr().String()}
	s.Server = grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error { return do(stream) }))
	s.serving.Go(func() { _ = s.Serve(l) })
	g.t.Cleanup(func() {
		s.Stop()
		s.serving.Wait()
	})
	return s, g.add(name, s.address)
}

// calls is a client of gRPC's, which sends nothing again by itself.
func (g *rig) calls() *grpc.ClientConn {
	g.t.Helper()
	cc, err := grpc.NewClient("passthrough:///"+g.address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { cc.Close() })
	return cc
}

// call opens a stream both ways.
func call(t *testing.T, cc *grpc.ClientConn) grpc.ClientStream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.Test/Talk")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// says sends and awaits the echo.
func says(t *testing.T, s grpc.ClientStream, words string) {
	t.Helper()
	if err := s.SendMsg(&text{Value: words}); err != nil {
		t.Fatal(err)
	}
	var got text
	if err := s.RecvMsg(&got); err != nil || got.Value != words {
		t.Fatalf("said %.20q, got %.20q, %v", words, got.Value, err)
	}
}

// wantEnd reads to the end of a call.
func wantStatus(t *testing.T, s grpc.ClientStream, want codes.Code) {
	t.Helper()
	for {
		err := s.RecvMsg(&text{})
		if err == nil {
			continue
		}
		if got := status.Code(err); got != want && !(want == codes.OK && errors.Is(err, io.EOF)) {
			t.Errorf("it ended by %v, want %v", err, want)
		}
		return
	}
}

// echoes answers every message by itself.
func echoes(s grpc.ServerStream) error {
	s.SetTrailer(metadata.Pairs("x-trailer", "b", "x-bin", "\x00\xff"))
	if err := s.SendHeader(metadata.Pairs("x-header", "a")); err != nil {
		return err
	}
	for {
		var in text
		err := s.RecvMsg(&in)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case in.Value == "no":
			return status.Error(codes.FailedPrecondition, "it said no: %!")
		}
		if err := s.SendMsg(&in); err != nil {
			return err
		}
	}
}

func TestGRPC(t *testing.T) {
	g := newRig(t, h2c)
	g.grpc("a", echoes)
	cc := g.calls()
	t.Run("a unary call", func(t *testing.T) {
		var got text
		var head, tail metadata.MD
		err := cc.Invoke(t.Context(), "/test.Test/Say", &text{Value: "hello"}, &got, grpc.Header(&head), grpc.Trailer(&tail))
		if err != nil || got.Value != "hello" {
			t.Fatalf("got %q, %v", got.Value, err)
		}
		if head.Get("x-header")[0] != "a" || tail.Get("x-trailer")[0] != "b" || tail.Get("x-bin")[0] != "\x00\xff" {
			t.Errorf("got %v and %v", head, tail)
		}
	})
	t.Run("an error", func(t *testing.T) {
		err := cc.Invoke(t.Context(), "/test.Test/Say", &text{Value: "no"}, &text{})
		if s, _ := status.FromError(err); s.Code() != codes.FailedPrecondition || s.Message() != "it said no: %!" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a stream both ways at once", func(t *testing.T) {
		s := call(t, cc)
		for range 100 {
			says(t, s, "words")
		}
		says(t, s, string(bytes.Repeat([]byte("x"), 3<<20)))
		if err := s.CloseSend(); err != nil {
			t.Fatal(err)
		}
		wantStatus(t, s, codes.OK)
	})
	t.Run("a call that the server ends before its client has", func(t *testing.T) {
		s := call(t, cc)
		if err := s.SendMsg(&text{Value: "no"}); err != nil {
			t.Fatal(err)
		}
		wantStatus(t, s, codes.FailedPrecondition)
	})
	t.Run("a client that leaves", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.Test/Talk")
		if err != nil {
			t.Fatal(err)
		}
		says(t, s, "hello")
		cancel()
		until(t, "the call has left the instance", func() bool { return !g.pool.Busy() })
	})
	if r := g.counters.Read(); r.Failed+r.Cut+r.Errors > 0 {
		t.Errorf("counted %+v", r)
	}
}

// The gateway's own answers are such that a client of gRPC's understands them.
func TestWhatGRPCIsToldByTheGateway(t *testing.T) {
	t.Run("nobody is in service", func(t *testing.T) {
		g := newRig(t, h2c, func(c *Config) { c.QueueTimeout = time.Millisecond })
		err := g.calls().Invoke(t.Context(), "/test.Test/Say", &text{}, &text{})
		if s, _ := status.FromError(err); s.Code() != codes.Unavailable || s.Message() != "no instance is in service" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the request takes too long", func(t *testing.T) {
		g := newRig(t, h2c, func(c *Config) { c.Limits.RequestTimeout = resource.Duration(50 * time.Millisecond) })
		g.grpc("a", func(s grpc.ServerStream) error { <-s.Context().Done(); return nil })
		err := g.calls().Invoke(t.Context(), "/test.Test/Say", &text{}, &text{})
		if status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the instance dies", func(t *testing.T) {
		g := newRig(t, h2c)
		s, _ := g.grpc("a", echoes)
		stream := call(t, g.calls())
		says(t, stream, "hello")
		s.Stop()
		wantStatus(t, stream, codes.Unavailable)
		g.wantCounts(counts{requests: 1, cut: 1})
	})
}

// A stream has the whole drain, its client's connection goes on, and at the end it
// is told that it may call again.
func TestGRPCStreamsAtADrainsEnd(t *testing.T) {
	g := newRig(t, h2c, func(c *Config) { c.DrainTimeout = 300 * time.Millisecond })
	_, a := g.grpc("a", echoes)
	cc := g.calls()
	stream := call(t, cc)
	says(t, stream, "before")
	g.grpc("b", echoes)
	g.pool.Admit(a, resource.AdmissionDraining)
	says(t, stream, "during")
	next := call(t, cc)
	says(t, next, "goes elsewhere")
	if s := g.pool.State(a); s.InFlight != 1 {
		t.Errorf("%d are in flight on who drains", s.InFlight)
	}
	began := time.Now()
	wantStatus(t, stream, codes.Unavailable)
	if d := time.Since(began); d > 250*time.Millisecond+g.config.DrainTimeout {
		t.Errorf("it took %s", d)
	}
	says(t, next, "goes on")
	g.wantCounts(counts{requests: 1, ended: 1})
	if s := g.pool.State(a); s.Ended != resource.DrainTimeout {
		t.Errorf("the drain ended %s", s.Ended)
	}
}

// In the middle of a message a stream has a moment more; if the message does not
// become whole, the call was cut.
func TestGRPCMessagesAtADrainsEnd(t *testing.T) {
	for _, c := range []struct {
		name string
		rest bool
		want counts
	}{
		{"the rest comes", true, counts{requests: 1, ended: 1}},
		{"the rest does not come", false, counts{requests: 1, cut: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, h2c, func(c *Config) { c.DrainTimeout = 50 * time.Millisecond })
			rest := make(chan struct{})
			message := append([]byte{0, 0, 0, 0, 7}, "\x0a\x05hello"...)
			b := g.raw2("a", func(c2 *conn2, id uint32) bool {
				c2.headers(id, false, ":status", "200", "content-type", "application/grpc")
				_ = c2.WriteData(id, false, message[:8])
				go func() {
					if <-rest; c.rest {
						_ = c2.WriteData(id, false, message[8:])
					}
				}()
				return true
			})
			t.Cleanup(b.die)
			s := call(t, g.calls())
			if err := s.CloseSend(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Header(); err != nil {
				t.Fatal(err)
			}
			m := g.members["a"]
			until(t, "the beginning is on its way", func() bool { return b.requests.Load() == 1 })
			g.pool.Admit(m, resource.AdmissionDraining)
			until(t, "the drain is over", func() bool { return g.pool.State(m).Ended != "" })
			close(rest)
			var got text
			err := s.RecvMsg(&got)
			if (err == nil) != c.rest || c.rest && got.Value != "hello" {
				t.Errorf("got %q, %v", got.Value, err)
			}
			if c.rest {
				wantStatus(t, s, codes.Unavailable)
			}
			g.wantCounts(c.want)
		})
	}
}

func TestGRPCStatus(t *testing.T) {
	for of, want := range map[int]codes.Code{
		400: codes.Internal, 401: codes.Unauthenticated, 403: codes.PermissionDenied, 404: codes.Unimplemented,
		429: codes.Unavailable, 502: codes.Unavailable, 503: codes.Unavailable, 504: codes.DeadlineExceeded, 413: codes.Unknown,
	} {
		if got := codes.Code(grpcStatus(of)); got != want {
			t.Errorf("%d is %s, want %s", of, got, want)
		}
	}
}

// What a program says by gRPC of its own errors counts as its errors do by HTTP.
func TestErrorsOfCallsAreCounted(t *testing.T) {
	g := newRig(t, h2c)
	var end codes.Code
	g.grpc("a", func(s grpc.ServerStream) error { return status.Error(end, "as asked") })
	g.grpc("b", func(s grpc.ServerStream) error {
		_ = s.SendMsg(&text{}) // so that the status comes in trailers
		return status.Error(end, "as asked")
	})
	cc := g.calls()
	want := counts{}
	for code, errors := range map[codes.Code]uint64{
		codes.OK: 0, codes.NotFound: 0, codes.InvalidArgument: 0, codes.ResourceExhausted: 0, codes.Canceled: 0,
		codes.Unknown: 1, codes.Internal: 1, codes.DataLoss: 1, codes.Unimplemented: 1, codes.Unavailable: 1, codes.DeadlineExceeded: 1,
	} {
		end = code
		for range 2 {
			wantStatus(t, call(t, cc), code)
		}
		want.requests, want.errors = want.requests+2, want.errors+2*errors
		g.wantCounts(want)
	}
}

func TestMessagesAreFollowed(t *testing.T) {
	stream := append([]byte{0, 0, 0, 0, 3}, "abc"...)
	stream = append(stream, 0, 0, 0, 0, 0)
	stream = append(append(stream, 1, 0, 0, 1, 0), make([]byte, 256)...)
	whole := map[int]bool{0: true, 8: true, 13: true, len(stream): true}
	for piece := 1; piece <= len(stream); piece++ {
		var m messages
		for at := 0; at < len(stream); {
			end := min(at+piece, len(stream))
			m.follow(stream[at:end])
			if at = end; m.boundary() != whole[at] {
				t.Fatalf("in pieces of %d, after %d: %v", piece, at, m.boundary())
			}
		}
	}
}
