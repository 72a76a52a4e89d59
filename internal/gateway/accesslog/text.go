package accesslog

import (
	"bytes"
	"net/url"
	"strings"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// appendEscaped appends a text as it is between the quotes of a JSON string. What is
// no UTF-8 becomes U+FFFD, as encoding/json has it.
func appendEscaped[T string | []byte](dst []byte, text T) []byte {
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(string(cut(text[i:], utf8.UTFMax)))
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ' || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
		i++
	}
	return dst
}

// mark stands where a secret was.
const mark = "[redacted]"

// secrets knows what must not be written down: values whose names it says are
// secret, and tokens of Drover's own, which begin with a prefix.
type secrets struct {
	named  func(name string) bool
	prefix []byte
}

// appendClean appends a path, a query or the like, escaped and without secrets.
func (s secrets) appendClean(dst, text []byte) []byte {
	for len(text) > 0 {
		end := bytes.IndexAny(text[1:], "/?&;, ") + 1 // each piece begins with what parts it from the one before
		if end == 0 {
			end = len(text)
		}
		dst = s.appendPiece(dst, text[:end])
		text = text[end:]
	}
	return dst
}

func (s secrets) appendPiece(dst, piece []byte) []byte {
	name, value, found := bytes.Cut(piece, []byte("="))
	switch {
	case found && s.secret(strings.TrimLeft(unescaped(name), "/?&;, ")):
		return append(append(appendEscaped(dst, name), '='), mark...)
	case found && s.nested(unescaped(value)):
		return append(append(appendEscaped(dst, name), '='), mark...)
	case !found && bytes.Contains(piece, []byte("%3")) && s.nested(unescaped(piece)):
		return append(append(dst, piece[0]), mark...)
	}
	if at := bytes.Index(piece, s.prefix); at >= 0 && len(s.prefix) > 0 {
		return append(appendEscaped(dst, piece[:at]), mark...)
	}
	return appendEscaped(dst, piece)
}

func (s secrets) secret(name string) bool { return s.named != nil && s.named(name) }

// nested says whether a value has another address in it with a secret of its own,
// escaped once more or not.
func (s secrets) nested(value string) bool {
	for range 3 {
		for part := range strings.FieldsFuncSeq(value, func(r rune) bool { return strings.ContainsRune("/?&;#, ", r) }) {
			if name, _, found := strings.Cut(part, "="); found && s.secret(name) {
				return true
			}
		}
		next := unescaped(value)
		if next == value {
			break
		}
		value = next
	}
	return len(s.prefix) > 0 && strings.Contains(value, string(s.prefix))
}

// unescaped is a text as a program reads it; one that cannot be read so stays as it is.
func unescaped[T string | []byte](text T) string {
	plain, err := url.QueryUnescape(string(text))
	if err != nil {
		return string(text)
	}
	return plain
}
