package h1

import (
	"bytes"
	"slices"
)

// Limits of a head or a trailer section. Both must be positive.
type Limits struct {
	Bytes  int // of all of it, up to and with the empty line
	Fields int
}

// section is lines up to an empty one, looked for while they come.
type section struct {
	seen  int   // bytes that have been searched
	begin int   // of the first line
	ends  []int // where the lines' LF are
}

func (s *section) reset() { s.seen, s.begin, s.ends = 0, 0, s.ends[:0] }

// search goes on looking for the section's end, and returns how long it is; 0:
// more bytes are needed. What it refuses it refuses at the same byte however
// many came at once.
func (s *section) search(buf []byte, bytesMax, linesMax int) (n int, err error) {
	for {
		i := bytes.IndexByte(buf[s.seen:], '\n')
		end := s.seen + i
		if i < 0 {
			end = len(buf) // or later
		}
		switch {
		case end >= bytesMax:
			return 0, errHeadTooLarge
		case i < 0:
			s.seen = end
			return 0, nil
		case end == 0 || buf[end-1] != '\r':
			return 0, errLineEnd
		}
		s.seen = end + 1
		if end-1 == s.start(len(s.ends)) {
			return end + 1, nil
		}
		if len(s.ends) == linesMax {
			return 0, errTooManyFields
		}
		s.ends = append(s.ends, end)
	}
}

func (s *section) start(line int) int {
	if line == 0 {
		return s.begin
	}
	return s.ends[line-1] + 1
}

// line is one without its CRLF.
func (s *section) line(buf []byte, line int) []byte {
	return buf[s.start(line) : s.ends[line]-1]
}

// appendFields appends what the lines from the first one on say.
func (s *section) appendFields(fields []Field, buf []byte, first int) ([]Field, error) {
	fields = slices.Grow(fields, max(0, len(s.ends)-first))
	for i := first; i < len(s.ends); i++ {
		fields = fields[:len(fields)+1]
		if err := fields[len(fields)-1].parse(s.line(buf, i)); err != nil {
			return fields, err
		}
	}
	return fields, nil
}
