package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time that is never negative. It is written as 300ms,
// 30s or 1h30m, as ISO 8601 (PT30S, P1DT2H) or as hh:mm:ss, and printed compactly.
type Duration time.Duration

var (
	isoDuration   = regexp.MustCompile(`^P(?:(\d{1,6})W)?(?:(\d{1,6})D)?(T(?:\d+(?:\.\d+)?H)?(?:\d+(?:\.\d+)?M)?(?:\d+(?:\.\d+)?S)?)?$`)
	clockDuration = regexp.MustCompile(`^(\d{1,7}):([0-5]\d):([0-5]\d(?:\.\d{1,9})?)$`)
)

// ParseDuration reads any of the written forms.
func ParseDuration(s string) (Duration, error) {
	if strings.HasPrefix(s, "-") {
		return 0, fmt.Errorf("%s is negative, a duration is not", quote(s))
	}
	text := s
	if m := clockDuration.FindStringSubmatch(s); m != nil {
		text = m[1] + "h" + m[2] + "m" + m[3] + "s"
	} else if strings.HasPrefix(s, "P") {
		text = fromISO(s)
	}
	d, err := time.ParseDuration(text)
	if err != nil || strings.HasPrefix(s, "+") {
		return 0, fmt.Errorf("%s is not a duration: write for example 300ms, 30s, 1h30m, PT30S or 00:00:30", quote(s))
	}
	return Duration(d), nil
}

// fromISO rewrites an ISO 8601 duration in Go's form, or returns "" when it is none.
// Years and months are not read: they have no fixed length.
func fromISO(s string) string {
	m := isoDuration.FindStringSubmatch(s)
	if m == nil || m[3] == "T" || m[1]+m[2]+m[3] == "" {
		return ""
	}
	// Six digits each, checked above: neither fails or overflows. An empty one is 0.
	weeks, _ := strconv.Atoi(m[1])
	days, _ := strconv.Atoi(m[2])
	return strconv.Itoa((weeks*7+days)*24) + "h" + strings.ToLower(strings.TrimPrefix(m[3], "T"))
}

// Std is the same length as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String prints 5m, not 5m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d *Duration) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDuration(string(b))
	return err
}

// UnmarshalJSON takes text and the bare number 0; any other number lacks its unit.
func (d *Duration) UnmarshalJSON(b []byte) error {
	switch {
	case bytes.Equal(b, []byte("null")):
		return nil
	case bytes.Equal(b, []byte("0")):
		*d = 0
		return nil
	case len(b) == 0 || b[0] != '"':
		return errors.New(`expected a duration with its unit as text, for example "30s"`)
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	return d.UnmarshalText([]byte(s))
}

// quote prints what a user wrote, but never much of it.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return strconv.Quote(strings.ToValidUTF8(s[:most], "")) + "…"
	}
	return strconv.Quote(s)
}
