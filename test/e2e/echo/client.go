package echo

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/droverhq/drover/internal/load"
)

// finished is nil for the end of a stream.
func finished(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Say is one call with one answer; the trailer says who gave it.
func Say(ctx context.Context, cc grpc.ClientConnInterface, nonce, text string) (answer, instance string, err error) {
	var out Text
	var trailer metadata.MD
	ctx = metadata.AppendToOutgoingContext(ctx, load.NonceHeader, nonce)
	err = cc.Invoke(ctx, "/"+name+"/Say", &Text{Value: text}, &out, grpc.Trailer(&trailer))
	return out.GetValue(), strings.Join(trailer.Get(load.InstanceHeader), ","), err
}

// Talk is a stream on which each text is answered.
func Talk(ctx context.Context, cc grpc.ClientConnInterface) (grpc.BidiStreamingClient[Text, Text], error) {
	s, err := cc.NewStream(ctx, &grpc.StreamDesc{StreamName: "Talk", ServerStreams: true, ClientStreams: true}, "/"+name+"/Talk")
	if err != nil {
		return nil, err
	}
	return &grpc.GenericClientStream[Text, Text]{ClientStream: s}, nil
}

// Count is a stream of numbers.
func Count(ctx context.Context, cc grpc.ClientConnInterface, from int) (grpc.ServerStreamingClient[Text], error) {
	s, err := cc.NewStream(ctx, &grpc.StreamDesc{StreamName: "Count", ServerStreams: true}, "/"+name+"/Count")
	if err != nil {
		return nil, err
	}
	stream := &grpc.GenericClientStream[Text, Text]{ClientStream: s}
	if err := stream.Send(&Text{Value: strconv.Itoa(from)}); err != nil {
		return nil, err
	}
	return stream, stream.CloseSend()
}
