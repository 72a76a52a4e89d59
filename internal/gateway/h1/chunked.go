package h1

// maxExtensions is how many bytes of chunk extensions a body may hold in all.
const maxExtensions = 2 << 10

// Chunked decodes a body in the chunked coding (RFC 9112 §7.1). Reset makes it
// ready for a body.
type Chunked struct {
	// Trailers are the fields that came after the body, but those that may not
	// come there, once Done.
	Trailers []Field

	state      chunkState
	left       int64 // of the chunk's size, or of its data
	digits     int   // of its size
	extensions int   // bytes of them so far
	limits     Limits
	section    section
	err        error
}

type chunkState uint8

const (
	chunkSize      chunkState = iota
	chunkExtension            // a token must begin
	chunkExtensionName
	chunkExtensionValue // a token or a quoted string must begin
	chunkExtensionToken
	chunkQuoted
	chunkQuotedPair
	chunkQuotedEnd
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	chunkTrailers
	chunkDone
	chunkFailed
)

// Reset makes ready for a body whose trailer section is within the limits. It
// forgets the one before, and the buffer it was in.
func (c *Chunked) Reset(trailers Limits) {
	clear(c.Trailers[:cap(c.Trailers)])
	fields, s := c.Trailers[:0], c.section
	s.reset()
	*c = Chunked{Trailers: fields, limits: trailers, section: s}
}

// Done says whether the whole body with its trailer section has been decoded.
func (c *Chunked) Done() bool { return c.state == chunkDone }

// Next decodes what is at the beginning of buf: n bytes, with a piece of the body
// among them. Without a piece, and not Done, it must be called with more bytes
// behind buf[n:], which it has not used. An error is for good, and an *Error.
func (c *Chunked) Next(buf []byte) (piece []byte, n int, err error) {
	for n < len(buf) {
		switch c.state {
		case chunkData:
			end := n + int(min(c.left, int64(len(buf)-n)))
			if c.left -= int64(end - n); c.left == 0 {
				c.state = chunkDataCR
			}
			return buf[n:end], end, nil
		case chunkTrailers:
			used, err := c.trailers(buf[n:])
			return nil, n + used, err
		case chunkDone:
			return nil, n, nil
		case chunkFailed:
			return nil, n, c.err
		}
		if err := c.frame(buf[n]); err != nil {
			return nil, n, c.fail(err)
		}
		n++
	}
	return nil, n, nil
}

func (c *Chunked) fail(err error) error {
	c.state, c.err = chunkFailed, err
	return err
}

// frame takes a byte of what is around the data.
func (c *Chunked) frame(b byte) error {
	switch c.state {
	case chunkSize:
		return c.size(b)
	case chunkSizeLF:
		if b != '\n' {
			return errLineEnd
		}
		c.state = chunkData
		if c.left == 0 {
			c.state = chunkTrailers
		}
	case chunkDataCR:
		if b != '\r' {
			return errChunkEnd
		}
		c.state = chunkDataLF
	case chunkDataLF:
		if b != '\n' {
			return errChunkEnd
		}
		c.state, c.left, c.digits = chunkSize, 0, 0
	default:
		return c.extension(b)
	}
	return nil
}

func (c *Chunked) size(b byte) error {
	if class[b]&isHex == 0 {
		if c.digits == 0 {
			return errChunkSize
		}
		return c.afterToken(b, errChunkSize)
	}
	if c.digits++; c.digits > 16 || c.left > (1<<63-1)>>4 {
		return errChunkSize
	}
	c.left = c.left<<4 | int64(hexValue(b))
	return nil
}

func hexValue(b byte) byte {
	if b <= '9' {
		return b - '0'
	}
	return b&0xf + 9
}

// extension takes a byte of *( ";" token [ "=" ( token / quoted-string ) ] ),
// without the white space that only a bad sender puts there (RFC 9112 §7.1.1).
func (c *Chunked) extension(b byte) error {
	if c.extensions++; c.extensions > maxExtensions {
		return errChunkExtension
	}
	token, text := class[b]&isToken != 0, class[b]&isText != 0
	switch s := c.state; {
	case s == chunkExtension && token:
		c.state = chunkExtensionName
	case s == chunkExtensionName && b == '=':
		c.state = chunkExtensionValue
	case s == chunkExtensionValue && token:
		c.state = chunkExtensionToken
	case s == chunkExtensionValue && b == '"':
		c.state = chunkQuoted
	case s == chunkExtensionName && token, s == chunkExtensionToken && token:
	case s == chunkQuoted && b == '"':
		c.state = chunkQuotedEnd
	case s == chunkQuoted && b == '\\':
		c.state = chunkQuotedPair
	case s == chunkQuoted && text:
	case s == chunkQuotedPair && text:
		c.state = chunkQuoted
	case s == chunkExtensionName, s == chunkExtensionToken, s == chunkQuotedEnd:
		return c.afterToken(b, errChunkExtension)
	default:
		return errChunkExtension
	}
	return nil
}

// afterToken takes what may follow a size or an extension.
func (c *Chunked) afterToken(b byte, otherwise error) error {
	switch b {
	case '\r':
		c.state = chunkSizeLF
	case ';':
		c.state = chunkExtension
	default:
		return otherwise
	}
	return nil
}

// trailers reads the trailer section once all of it is in buf.
func (c *Chunked) trailers(buf []byte) (n int, err error) {
	n, err = c.section.search(buf, c.limits.Bytes, c.limits.Fields)
	if n == 0 && err == nil {
		return 0, nil
	}
	if err == nil {
		c.Trailers, err = c.section.appendFields(c.Trailers, buf, 0)
	}
	if err != nil {
		return 0, c.fail(err)
	}
	kept := c.Trailers[:0]
	for _, f := range c.Trailers {
		if f.Kind.inTrailer() {
			kept = append(kept, f)
		}
	}
	c.Trailers, c.state = kept, chunkDone
	return n, nil
}
