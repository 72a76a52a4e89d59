package h1

import "strconv"

// What is appended is not checked again: it comes from a message that was parsed,
// or from a program that knows what it writes.

// AppendRequestLine appends the request line for a backend.
func AppendRequestLine(dst, method, path, query []byte) []byte {
	dst = append(append(dst, method...), ' ')
	dst = append(append(dst, path...), query...)
	return append(dst, " HTTP/1.1\r\n"...)
}

// AppendStatusLine appends the status line for a client.
func AppendStatusLine[T ~string | ~[]byte](dst []byte, status int, reason T) []byte {
	dst = strconv.AppendInt(append(dst, "HTTP/1.1 "...), int64(status), 10)
	dst = append(append(dst, ' '), reason...)
	return append(dst, "\r\n"...)
}

// AppendField appends a line of a header or trailer section. [AppendEnd] ends the
// section.
func AppendField[N, V ~string | ~[]byte](dst []byte, name N, value V) []byte {
	dst = append(append(dst, name...), ": "...)
	return append(append(dst, value...), "\r\n"...)
}

// AppendLength appends the field that frames a body: of n bytes, or LengthChunked.
// One that ends with its connection has none.
func AppendLength(dst []byte, n int64) []byte {
	switch n {
	case LengthUntilClose:
		return dst
	case LengthChunked:
		return append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	dst = strconv.AppendInt(append(dst, "Content-Length: "...), n, 10)
	return append(dst, "\r\n"...)
}

// AppendEnd appends the empty line at the end of a section, which is also what
// comes after the data of a chunk.
func AppendEnd(dst []byte) []byte { return append(dst, "\r\n"...) }

// AppendChunkSize appends what comes before n bytes of data; n is not 0.
func AppendChunkSize(dst []byte, n int) []byte {
	return append(strconv.AppendInt(dst, int64(n), 16), "\r\n"...)
}

// AppendLastChunk appends the end of the data. Trailers may follow, and [AppendEnd].
func AppendLastChunk(dst []byte) []byte { return append(dst, "0\r\n"...) }
