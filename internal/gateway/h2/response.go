package h2

import (
	"net/http"

	"github.com/droverhq/drover/internal/gateway/h1"
)

// interim is an answer that another one follows.
type interim struct {
	h1.Response
	section
}

// answer reads the head of an answer, or an interim one, which was decoded. The
// error says why it is malformed (RFC 9113 §8.1.1, §8.3.2).
func (s *Stream) answer(end bool) error {
	got := &s.conn.decoded
	if got.large {
		return errTooMuch
	}
	status, fields, ok := statusOf(got.fields)
	if !ok || !regularAnswer(fields) {
		return errMalformed
	}
	if status < 200 {
		return s.interimAnswer(status, fields, end)
	}
	if err := s.Response.Assemble(status, fields, s.toHEAD); err != nil {
		return err
	}
	if s.declared = s.Response.Length; end && s.declared > 0 {
		return errMalformed
	}
	if announcesTrailers(s.Response.Fields) && !s.bodiless(status) {
		s.Response.Length = h1.LengthChunked // a length leaves no place for them in HTTP/1.1
	}
	s.head, *got = *got, s.head
	s.answered = true
	if end {
		s.half(&s.heard)
		s.Response.Length = 0
	}
	return nil
}

// bodiless says whether an answer has no body, whatever its fields say.
func (s *Stream) bodiless(status int) bool {
	return s.toHEAD || status == http.StatusNoContent || status == http.StatusNotModified
}

func announcesTrailers(fields []h1.Field) bool {
	for i := range fields {
		if fields[i].Kind == h1.Trailer {
			return true
		}
	}
	return false
}

func (s *Stream) interimAnswer(status int, fields []h1.Field, end bool) error {
	if end || status == http.StatusSwitchingProtocols || len(s.interim) == maxInterim {
		return errMalformed
	}
	a := &interim{section: s.conn.decoded}
	s.conn.decoded = section{}
	if err := a.Assemble(status, fields, false); err != nil {
		return err
	}
	s.interim = append(s.interim, a)
	return nil
}

// statusOf takes the one pseudo-field that an answer has.
func statusOf(fields []h1.Field) (status int, rest []h1.Field, ok bool) {
	if len(fields) == 0 || string(fields[0].Name) != ":status" || len(fields[0].Value) != 3 {
		return 0, nil, false
	}
	for _, c := range fields[0].Value {
		if c < '0' || c > '9' {
			return 0, nil, false
		}
		status = 10*status + int(c-'0')
	}
	return status, fields[1:], status >= 100
}

// regularAnswer says whether the other fields may be in an answer.
func regularAnswer(fields []h1.Field) bool {
	for i := range fields {
		if !wellFormed(&fields[i]) || connectionSpecific(&fields[i]) {
			return false
		}
	}
	return true
}

// Answer waits for the next head: the interim ones first, and then, as often as it
// is asked, the last one. An interim one holds until the next call.
func (s *Stream) Answer() (*h1.Response, error) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	for {
		switch {
		case s.interrupted:
			return nil, errInterrupted
		case len(s.interim) > 0:
			a := s.interim[0]
			s.interim = s.interim[1:]
			return &a.Response, nil
		case s.answered:
			return &s.Response, nil
		case s.err != nil:
			return nil, s.err
		}
		s.wake.Wait()
	}
}

// Unprocessed says that the peer has done nothing with the request: it said so, or the
// request has not left.
func (s *Stream) Unprocessed() bool {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.refused
}

// Interrupt has reading and writing fail, now and from now on.
func (s *Stream) Interrupt() {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.interrupted, s.mute = true, true
	s.wake.Broadcast()
	s.conn.out.room.Broadcast()
}

// CloseWrite has writing fail from now on.
func (s *Stream) CloseWrite() {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.mute = true
	s.wake.Broadcast()
	s.conn.out.room.Broadcast()
}

// ResumeReading takes back what Interrupt did to reading.
func (s *Stream) ResumeReading() {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.interrupted = false
}
