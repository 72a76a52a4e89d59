package resource

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"0":          0,
		"0s":         0,
		"300ms":      300 * time.Millisecond,
		"30s":        30 * time.Second,
		"1h30m":      90 * time.Minute,
		"1.5h":       90 * time.Minute,
		"PT30S":      30 * time.Second,
		"PT0S":       0,
		"PT0.3S":     300 * time.Millisecond,
		"PT1H30M":    90 * time.Minute,
		"P1D":        24 * time.Hour,
		"P1DT2H":     26 * time.Hour,
		"P2W":        14 * 24 * time.Hour,
		"P1W1DT1S":   8*24*time.Hour + time.Second,
		"00:05:00":   5 * time.Minute,
		"1:00:00":    time.Hour,
		"100:00:00":  100 * time.Hour,
		"00:00:00.5": 500 * time.Millisecond,
	} {
		got, err := ParseDuration(in)
		if err != nil || time.Duration(got) != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
}

func TestParseDurationRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"-5s":          "negative",
		"-PT5S":        "negative",
		"":             "not a duration",
		"5":            "not a duration",
		"+5s":          "not a duration",
		"5 s":          "not a duration",
		"5d":           "not a duration",
		"P":            "not a duration",
		"PT":           "not a duration",
		"P1DT":         "not a duration",
		"P1Y":          "not a duration",
		"P1M":          "not a duration",
		"PT-5S":        "not a duration",
		"PT1S1H":       "not a duration",
		"P9999999D":    "not a duration",
		"P999999D":     "not a duration", // 2,700 years overflow
		"00:60:00":     "not a duration",
		"00:00":        "not a duration",
		"9999999:00:0": "not a duration",
		"9999999h":     "not a duration",
	} {
		if got, err := ParseDuration(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseDuration(%q) = %v, %v; want an error with %q", in, got, err, want)
		}
	}
}

func TestDurationString(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s":        0,
		"300ms":     300 * time.Millisecond,
		"1.5s":      1500 * time.Millisecond,
		"10s":       10 * time.Second,
		"5m":        5 * time.Minute,
		"10m":       10 * time.Minute,
		"1h":        time.Hour,
		"1h30m":     90 * time.Minute,
		"1h0m5s":    time.Hour + 5*time.Second,
		"24h":       24 * time.Hour,
		"1h10m":     70 * time.Minute,
		"24h0m0.5s": 24*time.Hour + 500*time.Millisecond,
	} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%v prints %q, want %q", d, got, want)
		}
	}
}

func TestDurationJSON(t *testing.T) {
	for in, want := range map[string]string{
		`"PT5M"`: "5m", `0`: "0s", `null`: "7s", `5`: "", `true`: "", `{}`: "", `"x"`: "", `"-1s"`: "",
	} {
		d := Duration(7 * time.Second)
		err := json.Unmarshal([]byte(in), &d)
		if (err != nil) != (want == "") || (err == nil && d.String() != want) {
			t.Errorf("%s decodes to %v, %v; want %q", in, d, err, want)
		}
	}
	out, err := json.Marshal(map[string]Duration{"a": Duration(time.Hour)})
	if err != nil || string(out) != `{"a":"1h"}` {
		t.Errorf("encoded as %s, %v", out, err)
	}
}

func TestDurationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Duration(rapid.Int64Min(0).Draw(t, "d"))
		if got, err := ParseDuration(d.String()); err != nil || got != d {
			t.Fatalf("%d prints %s, which reads %d, %v", d, d, got, err)
		}
	})
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"300ms", "1h30m", "PT30S", "P1DT2H", "00:05:00", "-1s", "P1Y", ".5s", "1s1h", "PT1.5H"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDuration(s)
		if err != nil {
			return
		}
		if d < 0 {
			t.Fatalf("%q reads %d", s, d)
		}
		if again, err := ParseDuration(d.String()); err != nil || again != d {
			t.Fatalf("%q reads %v, which reads %v, %v", s, d, again, err)
		}
	})
}
