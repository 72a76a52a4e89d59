package h1

import (
	"bytes"
	"encoding/binary"
)

// Classes of bytes.
const (
	isToken  = 1 << iota // tchar, RFC 9110 §5.6.2
	isTarget             // of a request target: visible ASCII but #
	isName               // of a registered name or an IPv4 address
	isHex
	isDigit
	isText // of a field's value: no control character but the tab, RFC 9110 §5.5
)

var class = classes()

// lower is a byte as names are compared: without case, and with - for _, which
// CGI and WSGI cannot tell apart.
var lower = lowerCase()

func classes() (t [256]uint8) {
	set := func(flag uint8, chars string) {
		for i := range len(chars) {
			t[chars[i]] |= flag
		}
	}
	const digits, hexLetters, letters = "0123456789", "ABCDEFabcdef", "GHIJKLMNOPQRSTUVWXYZghijklmnopqrstuvwxyz"
	set(isToken|isName|isHex|isDigit, digits)
	set(isToken|isName|isHex, hexLetters)
	set(isToken|isName, letters)
	set(isToken, "!#$%&'*+-.^_`|~")
	set(isName, "-._~")
	for c := range t {
		if c > ' ' && c < 0x7f && c != '#' {
			t[c] |= isTarget
		}
		if c >= ' ' && c != 0x7f || c == '\t' {
			t[c] |= isText
		}
	}
	return t
}

func lowerCase() (t [256]byte) {
	for c := range t {
		t[c] = byte(c)
	}
	for c := 'A'; c <= 'Z'; c++ {
		t[c] = byte(c) + 'a' - 'A'
	}
	t['_'] = '-'
	return t
}

// span is how many bytes at the beginning of s are of the class.
func span(s []byte, of uint8) int {
	for i, c := range s {
		if class[c]&of == 0 {
			return i
		}
	}
	return len(s)
}

func all(s []byte, of uint8) bool { return span(s, of) == len(s) }

// validText is all(s, isText), eight bytes at a time.
func validText(s []byte) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for len(s) >= 8 {
		x := binary.LittleEndian.Uint64(s)
		below := (x - ' '*ones) &^ x
		del := x ^ 0x7f*ones
		if (below|(del-ones)&^del)&high != 0 && !all(s[:8], isText) {
			return false
		}
		s = s[8:]
	}
	return all(s, isText)
}

// equalFold compares with a text that is in lower case and has no _.
func equalFold(s []byte, want string) bool {
	return len(s) == len(want) && hasPrefixFold(s, want)
}

func hasPrefixFold(s []byte, prefix string) bool {
	if len(s) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if lower[s[i]] != prefix[i] {
			return false
		}
	}
	return true
}

// trim takes optional white space off both ends (OWS, RFC 9110 §5.6.3).
func trim(s []byte) []byte {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// cutElement takes the first element off a comma-separated list (RFC 9110 §5.6.1).
func cutElement(list []byte) (element, rest []byte) {
	if i := bytes.IndexByte(list, ','); i >= 0 {
		return trim(list[:i]), list[i+1:]
	}
	return trim(list), nil
}

// has says whether an element of the list is the word, which is in lower case.
func has(list []byte, word string) bool {
	var element []byte
	for len(list) > 0 {
		if element, list = cutElement(list); isWord(element, word) {
			return true
		}
	}
	return false
}

// isWord is equalFold for values, in which nobody takes _ for a dash.
func isWord(s []byte, word string) bool {
	return equalFold(s, word) && bytes.IndexByte(s, '_') < 0
}

// number reads a decimal number of any number of digits. -1: it is none, or too large.
func number(s []byte) int64 {
	if len(s) == 0 {
		return -1
	}
	n := int64(0)
	for _, c := range s {
		if class[c]&isDigit == 0 || n > (1<<63-1-int64(c-'0'))/10 {
			return -1
		}
		n = n*10 + int64(c-'0')
	}
	return n
}
