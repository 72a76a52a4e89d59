package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxEvent is the longest server-sent event that is read.
const maxEvent = 8 << 20

var errEventTooLong = errors.New("an event of the watch is too long")

// event is one server-sent event.
type event struct {
	id, name string
	data     []byte
}

// eventReader reads a stream of server-sent events.
type eventReader struct {
	lines *bufio.Scanner
}

func newEventReader(r io.Reader) *eventReader {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxEvent)
	lines.Split(splitLines)
	return &eventReader{lines: lines}
}

// next returns the next event that has data or an id. An event that the end of
// the stream cut off is not returned: its data may be half there.
func (r *eventReader) next() (event, error) {
	var e event
	var size int
	for r.lines.Scan() {
		line := r.lines.Bytes()
		if len(line) == 0 {
			if e.data == nil && e.id == "" {
				e = event{}
				continue
			}
			return e, nil
		}
		if size += len(line); size > maxEvent {
			return event{}, errEventTooLong
		}
		e.field(line)
	}
	if err := r.lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return event{}, errEventTooLong
	} else if err != nil {
		return event{}, err
	}
	return event{}, io.EOF
}

func (e *event) field(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "id":
		e.id = string(value)
	case "event":
		e.name = string(value)
	case "data":
		if e.data != nil {
			e.data = append(e.data, '\n')
		} else {
			e.data = []byte{}
		}
		e.data = append(e.data, value...)
	}
}

// splitLines splits at \n or \r\n. A line without its end is left out.
func splitLines(data []byte, atEOF bool) (int, []byte, error) {
	i := bytes.IndexByte(data, '\n')
	if i < 0 {
		if atEOF {
			return len(data), nil, nil
		}
		return 0, nil, nil
	}
	return i + 1, bytes.TrimSuffix(data[:i], []byte("\r")), nil
}
