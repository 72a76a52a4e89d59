// Package h1 reads and writes HTTP/1.1 messages, and refuses what two programs
// could read differently. A proxy built on it passes on only what it has
// understood, written anew, so that nothing can be smuggled through it.
//
// It does no I/O and starts no goroutine: it works on bytes that the caller has
// read, and appends to buffers that the caller will write. A Request, a Response
// and a Chunked are made once and used for message after message: in the steady
// state no message costs an allocation, and no refusal ever does. What they give
// are slices of the caller's buffer: they hold until that buffer is written to
// again. None is safe for use by several goroutines at once.
//
//	n, err := req.Parse(buf, &limits)
//	switch {
//	case err != nil: // answer with its Status, close the connection
//	case n == 0:     // read more behind buf and call Parse again: it goes on where it was
//	default:         // buf[:n] was the head; the body begins at buf[n:]
//	}
//
// Someone who sends byte by byte costs no more than someone who sends all at once:
// each byte is looked at twice. Whether a message is taken, and which error it
// gets, does not depend on the pieces in which it comes.
//
// # Refused
//
// In every message (RFC 9112, unless said otherwise):
//   - a line that does not end in CRLF, a CR elsewhere (§2.2), a folded line (§5.2);
//   - white space before a colon, a name that is no token (§5.1), a control
//     character in a value but the tab (RFC 9110 §5.5);
//   - a Content-Length that is anything but one field of digits: no sign, no list of
//     equal numbers, no second field, no number beyond an int64 (§6.3);
//   - a Transfer-Encoding that is anything but one field with the word chunked, one
//     beside a Content-Length, one in HTTP/1.0 (§6.1);
//   - both of these names with an underscore for the dash: CGI and WSGI programs
//     know no difference;
//   - versions other than 1.0 and 1.1 (§2.3), heads beyond [Limits], a Connection
//     field that names more than 16 others.
//
// In a request also: a target with a space, a control character, a byte beyond
// ASCII, a fragment, or a broken percent escape in its path; one that is neither in
// origin form, nor absolute with http or https and without user information, nor
// the * of an OPTIONS, nor the host:port of a CONNECT (§3.2); no Host field, or
// several, or one that is not a name or an address with at most a port (§3.2,
// RFC 9110 §7.2). HTTP/1.0 may have none. In a Host, no escape, no character beyond
// letters, digits and -._~, no empty port.
//
// In a chunked body (§7.1): a size that is not 1 to 16 hexadecimal digits within an
// int64, white space around it, anything but CRLF after a size or data, extensions
// that break the grammar or have more than 2 KiB in all.
//
// # Tolerated
//
//   - One empty line before a request line (§2.2).
//   - The characters "<>\^`{|} in a target, and any percent sign in its query:
//     browsers send them, they frame nothing, and they are passed on as they are.
//   - Zeros before a Content-Length or a chunk's size: there is one way to read them.
//   - A status line that ends after the code, without the space (§4); any status
//     from 100 to 999.
//   - Elements of Connection that are no tokens: they name no field, and Connection
//     itself is never passed on.
//   - Chunk extensions: they are checked, and dropped (§7.1.1).
//   - Fields in a trailer section that must not be there (RFC 9110 §6.5.1): they are
//     dropped.
//   - Content-Length and Transfer-Encoding of an answer that has no body whatever
//     they say (§6.3). Where they must not be, the answer's connection is not to be
//     used again.
package h1
