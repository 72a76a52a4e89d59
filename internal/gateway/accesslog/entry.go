package accesslog

import (
	"math"
	"net/netip"
	"strconv"
	"time"

	"github.com/droverhq/drover/internal/gateway/tally"
)

// Outcome is how a request ended, as it is counted.
type Outcome string

const (
	Answered  Outcome = "answered"
	Refused   Outcome = "refused" // by the gateway, for what it is
	Failed    Outcome = "failed"
	Cut       Outcome = "cut"
	Abandoned Outcome = "abandoned" // by its client
	Ended     Outcome = "ended"     // a stream, in order, at a drain's time-out
)

// OutcomeOf is a request's end in the log's words.
func OutcomeOf(e tally.End) Outcome {
	switch e {
	case tally.Failed:
		return Failed
	case tally.CutOff:
		return Cut
	case tally.Abandoned:
		return Abandoned
	case tally.Ended:
		return Ended
	}
	return Answered
}

// Entry is what is told of a request, or of a connection that nobody looked into.
// What is empty is left out. Slices are not kept.
type Entry struct {
	Began                   time.Time
	Client                  netip.Addr
	ForwardedFor            []byte
	Method, Host            []byte
	Path, Query             []byte // the query with its question mark; secrets in them are taken out
	Protocol                string
	Status                  int
	BytesIn, BytesOut       int64
	Took, FirstByte, Queued time.Duration
	Set, Version, Instance  string
	Attempts                int
	Outcome                 Outcome
	UserAgent               []byte
	TLS                     string
}

// What is longer than this is cut: a client is not to fill the disk with one request.
const (
	maxPath  = 2048
	maxOther = 512
	// maxLine is longer than any line, with each byte escaped.
	maxLine = 64 << 10
)

// TimeFormat is RFC 3339 with milliseconds.
const TimeFormat = "2006-01-02T15:04:05.000Z07:00"

// appendLine appends the entry as one line of JSON.
func (l *Log) appendLine(dst []byte, e *Entry) []byte {
	dst = l.begin(dst, e.Began)
	if e.Client.IsValid() {
		dst = append(e.Client.AppendTo(append(dst, `,"client":"`...)), '"')
	}
	dst = appendText(dst, "forwardedFor", e.ForwardedFor, maxOther)
	dst = appendText(dst, "method", e.Method, maxOther)
	dst = appendText(dst, "host", e.Host, maxOther)
	dst = l.appendPath(dst, e.Path, e.Query)
	dst = appendText(dst, "protocol", e.Protocol, maxOther)
	if e.Status != 0 {
		dst = strconv.AppendInt(append(dst, `,"status":`...), int64(e.Status), 10)
	}
	dst = strconv.AppendInt(append(dst, `,"bytesIn":`...), e.BytesIn, 10)
	dst = strconv.AppendInt(append(dst, `,"bytesOut":`...), e.BytesOut, 10)
	dst = appendMillis(dst, "durationMs", e.Took)
	if e.FirstByte > 0 {
		dst = appendMillis(dst, "firstByteMs", e.FirstByte)
	}
	dst = appendMillis(dst, "queueMs", e.Queued)
	dst = appendText(dst, "set", e.Set, maxOther)
	dst = appendText(dst, "version", e.Version, maxOther)
	dst = appendText(dst, "instance", e.Instance, maxOther)
	dst = strconv.AppendInt(append(dst, `,"attempts":`...), int64(e.Attempts), 10)
	dst = appendText(dst, "outcome", string(e.Outcome), maxOther)
	if len(e.UserAgent) > 0 {
		dst = append(dst, `,"userAgent":"`...)
		dst = append(l.secrets.appendClean(dst, cut(e.UserAgent, maxOther)), '"')
	}
	dst = appendText(dst, "tls", e.TLS, maxOther)
	return append(dst, "}\n"...)
}

// appendDropped appends the line that says how many others are missing.
func (l *Log) appendDropped(dst []byte, now time.Time, n uint64) []byte {
	dst = append(l.begin(dst, now), `,"dropped":`...)
	return append(strconv.AppendUint(dst, n, 10), "}\n"...)
}

func (l *Log) begin(dst []byte, at time.Time) []byte {
	dst = at.UTC().AppendFormat(append(dst, `{"time":"`...), TimeFormat)
	return appendText(append(dst, '"'), "balancer", l.balancer, maxOther)
}

func (l *Log) appendPath(dst, path, query []byte) []byte {
	if len(path) == 0 {
		return dst
	}
	dst = append(dst, `,"path":"`...)
	dst = l.secrets.appendClean(dst, cut(path, maxPath))
	dst = l.secrets.appendClean(dst, cut(query, maxPath))
	return append(dst, '"')
}

func cut[T string | []byte](text T, most int) T { return text[:min(len(text), most)] }

func appendMillis(dst []byte, name string, d time.Duration) []byte {
	dst = append(append(append(dst, `,"`...), name...), `":`...)
	return strconv.AppendFloat(dst, math.Round(d.Seconds()*1e6)/1e3, 'f', -1, 64)
}

func appendText[T string | []byte](dst []byte, name string, text T, most int) []byte {
	if len(text) == 0 {
		return dst
	}
	dst = append(append(append(dst, `,"`...), name...), `":"`...)
	return append(appendEscaped(dst, cut(text, most)), '"')
}
