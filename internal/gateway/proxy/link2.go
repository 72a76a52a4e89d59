package proxy

import (
	"net/http"
	"strconv"
	"time"

	"github.com/droverhq/drover/internal/gateway/h1"
	"github.com/droverhq/drover/internal/gateway/h2"
)

// Names of what a request by HTTP/2 has beside its own fields, never written to.
var (
	methodName         = []byte(":method")
	schemeName         = []byte(":scheme")
	authorityName      = []byte(":authority")
	pathName           = []byte(":path")
	forwardedForName   = []byte("x-forwarded-for")
	forwardedHostName  = []byte("x-forwarded-host")
	forwardedProtoName = []byte("x-forwarded-proto")
	cookieFieldName    = []byte("cookie")
	teName             = []byte("te")
	trailersValue      = []byte("trailers")
	expectName         = []byte("expect")
	continueValue      = []byte("100-continue")
)

// link2 speaks HTTP/2, on a stream of a connection that other requests use too.
type link2 struct {
	stream *h2.Stream
	ask    h2.Ask
	text   []byte // of the fields
	got    buffer // what piece has given
	last   int    // how much that was
	more   *time.Timer
	ended  chan struct{} // more has run
}

// prepare makes the head of a request ready to be sent.
func (l *link2) prepare(x *exchange) {
	r := x.req
	l.text, l.ask.Fields = l.text[:0], l.ask.Fields[:0]
	l.add(methodName, r.Method)
	l.add(schemeName, httpScheme)
	if len(r.Host) > 0 {
		l.add(authorityName, r.Host)
	}
	l.append(pathName, func(dst []byte) []byte { return append(append(dst, r.Path...), r.Query...) })
	sized := false
	for i := range r.Fields {
		switch f := &r.Fields[i]; {
		case f.Kind == h1.ContentLength:
			sized = true
		case f.Kind == h1.Trailer && r.Length == h1.LengthChunked:
			l.append(trailerName, func(dst []byte) []byte { return appendTrailerList(dst, f.Value) })
		case f.Hop || dropped(f.Kind, x.from.trusted):
		case f.Kind == h1.Cookie:
			l.append(cookieFieldName, func(dst []byte) []byte { return appendCookies(dst, f.Value) })
		default:
			l.ask.Fields = append(l.ask.Fields, *f)
		}
	}
	l.append(forwardedForName, func(dst []byte) []byte { return appendForwardedFor(dst, r, x.from) })
	l.add(forwardedHostName, forwardedHost(r, x.from))
	l.add(forwardedProtoName, scheme(r, x.from))
	if r.Trailers {
		l.add(teName, trailersValue)
	}
	if r.Expect100 && r.Length != 0 {
		l.add(expectName, continueValue)
	}
	if sized && r.Length >= 0 {
		l.append(lengthName, func(dst []byte) []byte { return strconv.AppendInt(dst, r.Length, 10) })
	}
	l.ask.End = !x.streams() && len(x.kept) == 0
	l.ask.ToHEAD = string(r.Method) == http.MethodHead
}

func (l *link2) add(name, value []byte) {
	l.ask.Fields = append(l.ask.Fields, h1.Field{Name: name, Value: value})
}

// append adds a field whose value is kept here; none when it is empty.
func (l *link2) append(name []byte, value func(dst []byte) []byte) {
	from := len(l.text)
	l.text = value(l.text)
	if v := l.text[from:]; len(v) > 0 {
		l.add(name, v)
	}
}

func (l *link2) start(s *h2.Stream) { l.stream, l.last = s, 0 }

// forget drops what belongs to the request.
func (l *link2) forget() {
	clear(l.ask.Fields)
	l.ask.Fields = l.ask.Fields[:0]
	if cap(l.text) > smallSize {
		l.text = nil
	}
}

func (l *link2) idled() bool { return l.stream.Woke }
func (l *link2) sent() bool  { return !l.stream.Unprocessed() }
func (l *link2) interrupt()  { l.stream.Interrupt() }

func (l *link2) send(x *exchange) error {
	if len(x.kept) > 0 {
		if err := l.stream.WriteData(x.kept, true); err != nil {
			return err
		}
	}
	return l.stream.Flush()
}

func (l *link2) sendPiece(buf []byte, n int, last bool) error {
	err := l.stream.WriteData(buf[bodyAt:bodyAt+n], false)
	if err == nil && !last {
		err = l.stream.Flush()
	}
	return err
}

func (l *link2) sendEnd(trailers []h1.Field) (err error) {
	if len(trailers) > 0 {
		err = l.stream.WriteHead(trailers, true)
	} else {
		err = l.stream.WriteData(nil, true)
	}
	if err == nil {
		err = l.stream.Flush()
	}
	return err
}

func (l *link2) stopSending() { l.stream.CloseWrite() }

func (l *link2) head() (*h1.Response, error) { return l.stream.Answer() }

func (l *link2) piece() ([]byte, error) {
	if l.got.bytes == nil {
		l.got.lend()
	}
	l.got.filled(l.last)
	n, err := l.stream.TryRead(l.got.bytes)
	if l.last = n; n > 0 {
		return l.got.bytes[:n], nil // the end is said the next time, too
	}
	return nil, err
}

// splice moves nothing: what comes is in frames.
func (l *link2) splice(client) (moved int64, read, write error) { return 0, nil, nil }

func (l *link2) await() error {
	l.got.free()
	l.stream.Wait()
	return nil
}

func (l *link2) trailers() []h1.Field { return l.stream.Trailers() }

// again is what the connection decides.
func (l *link2) again() bool { return false }

// resume has the answer go on for a while after an interrupt.
func (l *link2) resume(d time.Duration) {
	s, ended := l.stream, make(chan struct{})
	s.ResumeReading()
	l.ended = ended
	l.more = time.AfterFunc(d, func() {
		defer close(ended)
		s.Interrupt()
	})
}

func (l *link2) leave(bool) {
	if l.more != nil && !l.more.Stop() {
		<-l.ended
	}
	l.more = nil
	l.got.free()
	l.stream.Release()
	l.stream = nil
}
