package h1

// Error is why a message was refused. All there are have been made before the
// first message, so that refusing costs nothing.
type Error struct {
	// Status is what to answer to a client before closing its connection. A
	// backend's answer that is refused is a 502 whatever stands here.
	Status int
	Reason string
}

func (e *Error) Error() string { return e.Reason }

var (
	errStartLineTooLong = &Error{414, "the request target is too long"}
	errHeadTooLarge     = &Error{431, "the header fields are too large"}
	errTooManyFields    = &Error{431, "there are too many header fields"}
	errVersion          = &Error{505, "the version is not HTTP/1.0 or HTTP/1.1"}

	errNotHTTP      = &Error{400, "this is not HTTP"}
	errLineEnd      = &Error{400, "a line does not end in CRLF"}
	errRequestLine  = &Error{400, "the request line is malformed"}
	errStatusLine   = &Error{400, "the status line is malformed"}
	errMethod       = &Error{501, "the method is too long"}
	errTarget       = &Error{400, "the request target is malformed"}
	errNoHost       = &Error{400, "the Host field is missing"}
	errTwoHosts     = &Error{400, "there is more than one Host field"}
	errHost         = &Error{400, "the host is malformed"}
	errFolded       = &Error{400, "a header field is folded"}
	errFieldName    = &Error{400, "a header field's name is malformed"}
	errFieldValue   = &Error{400, "a header field's value has a control character"}
	errDisguised    = &Error{400, "a framing field's name has an underscore"}
	errOptions      = &Error{400, "the Connection field names too many others"}
	errLength       = &Error{400, "the Content-Length is malformed"}
	errTwoLengths   = &Error{400, "there is more than one Content-Length"}
	errCoding       = &Error{400, "the Transfer-Encoding is malformed"}
	errUnknown      = &Error{501, "the transfer coding is not known"}
	errTwoCodings   = &Error{400, "there is more than one Transfer-Encoding field"}
	errCodingOf10   = &Error{400, "there is a Transfer-Encoding in HTTP/1.0"}
	errBothFramings = &Error{400, "there are both Content-Length and Transfer-Encoding"}

	errChunkSize      = &Error{400, "a chunk's size is malformed"}
	errChunkEnd       = &Error{400, "a chunk does not end in CRLF"}
	errChunkExtension = &Error{400, "a chunk extension is malformed or too long"}
)
