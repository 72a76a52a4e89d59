package proxy

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"strconv"

	"github.com/droverhq/drover/internal/gateway/h1"
)

// messages follows the messages in a stream of gRPC's bytes, to know where one ends:
// a call that is broken off there can still be told why.
type messages struct {
	head [5]byte // a flag and a length
	have int     // bytes of head seen
	left uint64  // bytes of the message to come
}

// follow takes in the next bytes.
func (m *messages) follow(p []byte) {
	for len(p) > 0 {
		if m.left > 0 {
			n := min(m.left, uint64(len(p)))
			m.left -= n
			p = p[n:]
			continue
		}
		n := copy(m.head[m.have:], p)
		p = p[n:]
		if m.have += n; m.have == len(m.head) {
			m.have, m.left = 0, uint64(binary.BigEndian.Uint32(m.head[1:]))
		}
	}
}

// boundary says whether a message has just ended, or none has begun.
func (m *messages) boundary() bool { return m.have == 0 && m.left == 0 }

// isGRPC says whether a message's body is gRPC's.
func isGRPC(fields []h1.Field) bool {
	const name = "application/grpc"
	for i := range fields {
		if f := &fields[i]; f.Kind == h1.ContentType {
			rest, ok := bytes.CutPrefix(f.Value, []byte(name))
			return ok && (len(rest) == 0 || rest[0] == '+' || rest[0] == ';')
		}
	}
	return false
}

// Statuses of gRPC (https://grpc.github.io/grpc/core/md_doc_statuscodes.html).
const (
	grpcUnknown          = 2
	grpcDeadlineExceeded = 4
	grpcPermissionDenied = 7
	grpcUnimplemented    = 12
	grpcInternal         = 13
	grpcUnavailable      = 14
	grpcDataLoss         = 15
	grpcUnauthenticated  = 16
)

// grpcStatus is what a status of HTTP's is to a client of gRPC's, which does not look
// at that (https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md).
// A 504 of the gateway's says that the request's time is over.
func grpcStatus(status int) int {
	switch status {
	case http.StatusBadRequest:
		return grpcInternal
	case http.StatusUnauthorized:
		return grpcUnauthenticated
	case http.StatusForbidden:
		return grpcPermissionDenied
	case http.StatusNotFound:
		return grpcUnimplemented
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable:
		return grpcUnavailable
	case http.StatusGatewayTimeout:
		return grpcDeadlineExceeded
	}
	return grpcUnknown
}

// callStatus is the status of HTTP's that a call's end amounts to, as counters have it:
// a program's own errors are 500 and above. 200: it says none.
func callStatus(head, trailers []h1.Field) int {
	for _, fields := range [][]h1.Field{trailers, head} {
		for i := range fields {
			if f := &fields[i]; bytes.EqualFold(f.Name, grpcStatusName) {
				return httpStatus(string(f.Value))
			}
		}
	}
	return http.StatusOK
}

func httpStatus(grpc string) int {
	switch n, _ := strconv.Atoi(grpc); n {
	case grpcUnknown, grpcInternal, grpcDataLoss:
		return http.StatusInternalServerError
	case grpcUnimplemented:
		return http.StatusNotImplemented
	case grpcUnavailable:
		return http.StatusServiceUnavailable
	case grpcDeadlineExceeded:
		return http.StatusGatewayTimeout
	}
	return http.StatusOK
}

// Names of what a call's end has, never written to.
var (
	grpcStatusName  = []byte("grpc-status")
	grpcMessageName = []byte("grpc-message")
	grpcType        = []byte("application/grpc")
	grpcAgain       = []h1.Field{
		{Name: grpcStatusName, Value: strconv.AppendInt(nil, grpcUnavailable, 10)},
		{Name: grpcMessageName, Value: []byte("the instance is going, call again")},
	}
	grpcBroken = []h1.Field{
		{Name: grpcStatusName, Value: strconv.AppendInt(nil, grpcUnavailable, 10)},
		{Name: grpcMessageName, Value: []byte("the instance gave no whole answer")},
	}
)

// plainGRPC is an answer of the gateway's own to a call: trailers alone, with what a
// client of gRPC's looks at.
func (h *http2) plainGRPC(status int, why string) {
	h.status(http.StatusOK)
	h.add(contentTypeName, grpcType)
	h.append(grpcStatusName, func(dst []byte) []byte { return strconv.AppendInt(dst, int64(grpcStatus(status)), 10) })
	h.append(grpcMessageName, func(dst []byte) []byte { return appendPercent(dst, why) })
	h.endHead(false, true)
	h.stream.CloseRead()
}

// appendPercent appends a text as grpc-message has it.
func appendPercent(dst []byte, text string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '%' {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}
