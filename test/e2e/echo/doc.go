// Package echo is a gRPC service and its client, both by grpc-go. The service is
// described by hand, with messages that protobuf has already, so that nothing is
// generated. It is not part of what is shipped: the end-to-end tests' workload
// serves it beside the sample program's own answers.
package echo
