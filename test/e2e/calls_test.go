package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/droverhq/drover/internal/load"
	"github.com/droverhq/drover/test/e2e/echo"
)

func dialGRPC(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	cc, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(t, err)
	return cc
}

// say calls; every third time what must be refused, by a status in the trailers.
func say(cc *grpc.ClientConn) func(context.Context, *visitor) error {
	n := 0
	return func(ctx context.Context, v *visitor) error {
		nonce, want := newNonce("call"), codes.OK
		text := nonce
		if n++; n%3 == 0 {
			text, want = "", codes.InvalidArgument
		}
		got, by, err := echo.Say(context.Background(), cc, nonce, text)
		if status.Code(err) != want || got != text || by == "" {
			return fmt.Errorf("said %q, got %q from %q: %w", text, got, by, err)
		}
		v.count()
		rest(ctx, streamPace)
		return nil
	}
}

// talk is a stream on which everything that is said is answered.
func talk(cc *grpc.ClientConn) func(context.Context, *visitor) error {
	return func(ctx context.Context, v *visitor) error {
		stream, err := echo.Talk(ctx, cc)
		if err != nil {
			return err
		}
		opened := time.Now()
		for n := 0; ctx.Err() == nil; n++ {
			text := strconv.Itoa(n)
			_ = stream.Send(&echo.Text{Value: text}) // Recv says why that failed
			got, err := stream.Recv()
			if err != nil {
				return streamEnded(v, stream, opened, err)
			}
			if got.GetValue() != text {
				return fmt.Errorf("said %q, got %q", text, got.GetValue())
			}
			v.count()
			rest(ctx, streamPace)
		}
		return nil
	}
}

// listenTo is a stream of numbers, of which each has to come exactly once.
func listenTo(cc *grpc.ClientConn) func(context.Context, *visitor) error {
	next := 1
	return func(ctx context.Context, v *visitor) error {
		stream, err := echo.Count(ctx, cc, next)
		if err != nil {
			return err
		}
		opened := time.Now()
		for {
			got, err := stream.Recv()
			if err != nil {
				return streamEnded(v, stream, opened, err)
			}
			if got.GetValue() != strconv.Itoa(next) {
				return fmt.Errorf("%s came, not %d", got.GetValue(), next)
			}
			next++
			v.count()
		}
	}
}

// streamEnded forgives an end that the gateway has given the stream by a status;
// that of a connection that broke is the library's own.
func streamEnded(v *visitor, stream grpc.ClientStream, opened time.Time, err error) error {
	head, headErr := stream.Header()
	if headErr != nil || status.Code(err) != codes.Unavailable || strings.Contains(err.Error(), "reading from server") {
		return fmt.Errorf("stream: %w", err)
	}
	v.ended(strings.Join(head.Get(load.InstanceHeader), ""), opened)
	return nil
}

// startCalls adds a connection of gRPC: a stream, both ways or one way, and calls beside it.
func (tr *traffic) startCalls(n int, address string) {
	tr.t.Helper()
	cc := dialGRPC(tr.t, address)
	tr.t.Cleanup(func() { tr.end(); cc.Close() })
	stream := talk(cc)
	if n%2 == 1 {
		stream = listenTo(cc)
	}
	tr.start(&visitor{name: fmt.Sprint("gRPC stream ", n), pooled: true, converse: stream})
	tr.start(&visitor{name: fmt.Sprint("gRPC calls ", n), requests: true, pooled: true, converse: say(cc)})
}
