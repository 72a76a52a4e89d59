package h1

import "bytes"

// Lengths of bodies that no Content-Length gives.
const (
	LengthChunked    = -1
	LengthUntilClose = -2 // of an answer only
)

// maxOptions bounds what it may cost to mark the fields that Connection names.
const maxOptions = 16

// Head is what requests and answers have in common.
type Head struct {
	Minor  int     // of the version, HTTP/1.0 or HTTP/1.1
	Fields []Field // in the order in which they came
	Length int64   // of the body, or LengthChunked, or LengthUntilClose
	// Close: the connection carries no message after this one.
	Close bool
	// Upgrade is what the connection is to become, or has become after a 101; or nil.
	Upgrade []byte

	section section
	length  []byte // of Content-Length; nil: there is none
	coding  []byte // of Transfer-Encoding; nil: there is none
	options options
}

// options are what Connection says.
type options struct {
	close, keepAlive, upgrade bool
	named                     int // other fields
}

// Reset forgets a message, even one that has come in part, and the buffer it is in.
func (h *Head) Reset() {
	clear(h.Fields[:cap(h.Fields)])
	section, fields := h.section, h.Fields[:0]
	section.reset()
	*h = Head{Fields: fields, section: section}
}

// search goes on looking for the end of the head. What is no HTTP at all is
// refused at its first byte: its sender may never end a line.
func (h *Head) search(buf []byte, l *Limits) (n int, err error) {
	if at := h.section.begin; len(buf) > at && class[buf[at]]&isToken == 0 && buf[at] != '\r' && buf[at] != '\n' {
		return 0, errNotHTTP
	}
	n, err = h.section.search(buf, l.Bytes, l.Fields+1)
	if err == errHeadTooLarge && len(h.section.ends) == 0 {
		err = errStartLineTooLong
	}
	return n, err
}

// finish makes ready for the next message.
func (h *Head) finish(n int, err error) (int, error) {
	h.section.reset()
	if err != nil {
		return 0, err
	}
	return n, nil
}

// readFields reads all lines after the first.
func (h *Head) readFields(buf []byte) (err error) {
	h.length, h.coding, h.options = nil, nil, options{}
	if h.Fields, err = h.section.appendFields(h.Fields[:0], buf, 1); err != nil {
		return err
	}
	for i := range h.Fields {
		if err := h.heed(&h.Fields[i]); err != nil {
			return err
		}
	}
	if h.options.named > 0 {
		h.markNamed()
	}
	h.Close = h.options.close || h.Minor == 0 && !h.options.keepAlive // RFC 9112 §9.3
	return nil
}

func (h *Head) heed(f *Field) error {
	switch f.Kind {
	case ContentLength:
		if h.length != nil {
			return errTwoLengths
		}
		h.length = f.Value
	case TransferEncoding:
		if h.coding != nil {
			return errTwoCodings
		}
		h.coding = f.Value
	case Connection:
		h.options.add(f.Value)
		if h.options.named > maxOptions {
			return errOptions
		}
	}
	return nil
}

func (o *options) add(list []byte) {
	var element []byte
	for len(list) > 0 {
		switch element, list = cutElement(list); {
		case isWord(element, "close"):
			o.close = true
		case isWord(element, "keep-alive"):
			o.keepAlive = true
		case isWord(element, "upgrade"):
			o.upgrade = true
		case len(element) > 0 && all(element, isToken):
			o.named++
		}
	}
}

// markNamed marks the fields that Connection names.
func (h *Head) markNamed() {
	for i := range h.Fields {
		if h.Fields[i].Kind != Connection {
			continue
		}
		var element []byte
		for list := h.Fields[i].Value; len(list) > 0; {
			if element, list = cutElement(list); all(element, isToken) {
				h.mark(element)
			}
		}
	}
}

func (h *Head) mark(name []byte) {
	for i := range h.Fields {
		if f := &h.Fields[i]; len(f.Name) == len(name) && bytes.EqualFold(f.Name, name) {
			f.Hop = true
		}
	}
}

// onlyUpgrade is the value of the Upgrade field, where there is exactly one.
func (h *Head) onlyUpgrade() (value []byte) {
	for i := range h.Fields {
		if h.Fields[i].Kind != Upgrade {
			continue
		}
		if value != nil {
			return nil
		}
		value = h.Fields[i].Value
	}
	return value
}

// bodyLength is what the fields say (RFC 9112 §6.3), or otherwise when they say nothing.
func (h *Head) bodyLength(otherwise int64) (int64, error) {
	switch {
	case h.coding != nil && h.Minor == 0:
		return 0, errCodingOf10
	case h.coding != nil && h.length != nil:
		return 0, errBothFramings
	case h.coding != nil:
		return LengthChunked, checkCoding(h.coding)
	case h.length == nil:
		return otherwise, nil
	}
	n := number(h.length)
	if n < 0 {
		return 0, errLength
	}
	return n, nil
}

// checkCoding takes chunked alone, and tells codings that could be known from
// lists that cannot be right: those that name chunked twice or not at the end.
func checkCoding(list []byte) error {
	if equalFold(list, "chunked") {
		return nil
	}
	chunked, unknown := false, false
	for more := true; more; more = len(list) > 0 {
		var element []byte
		switch element, list = cutElement(list); {
		case chunked || len(element) == 0 || !all(element, isToken):
			return errCoding
		case equalFold(element, "chunked"):
			chunked = true
		default:
			unknown = true
		}
	}
	if unknown {
		return errUnknown
	}
	return errCoding
}

// version reads an HTTP-version (RFC 9112 §2.3).
func version(s []byte) (minor int, err error) {
	if len(s) != len("HTTP/1.1") || string(s[:5]) != "HTTP/" || s[6] != '.' || class[s[5]]&class[s[7]]&isDigit == 0 {
		return 0, errNotHTTP
	}
	if s[5] != '1' || s[7] > '1' {
		return 0, errVersion
	}
	return int(s[7] - '0'), nil
}
