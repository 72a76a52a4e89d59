package resource

import (
	"encoding/json"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestParseBytes(t *testing.T) {
	for in, want := range map[string]Bytes{
		"0": 0, "1048576": 1 << 20, "64KiB": 64 << 10, "256MiB": 256 << 20, "1GiB": 1 << 30,
		"1.5GiB": 3 << 29, "10MB": 10_000_000, "64 KiB": 64 << 10, "1kb": 1000, "10B": 10, "1TiB": 1 << 40,
		"0.1KiB": 102, "9223372036854775807": math.MaxInt64,
	} {
		if got, err := ParseBytes(in); err != nil || got != want {
			t.Errorf("ParseBytes(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "-1", "+1", "1e3", "0x10", "1/2", "1.", ".5MiB", "MiB", "1XiB", "1 2", "64KiB ", "9223372036854775808", "9999999PiB", "1_000"} {
		if got, err := ParseBytes(in); err == nil {
			t.Errorf("ParseBytes(%q) = %d, want an error", in, got)
		}
	}
}

func TestBytesJSON(t *testing.T) {
	for in, want := range map[string]string{
		`"1.5GiB"`: `"1536MiB"`, `65536`: `"64KiB"`, `0`: `0`, `"10MB"`: `10000000`, `1000`: `1000`, `null`: `7`,
		`true`: "", `{}`: "", `[]`: "", `""`: "", `-1`: "", `1e3`: "",
	} {
		b := Bytes(7)
		err := json.Unmarshal([]byte(in), &b)
		if (err != nil) != (want == "") {
			t.Errorf("%s decodes to %v, %v", in, b, err)
			continue
		}
		if out, _ := json.Marshal(b); err == nil && string(out) != want {
			t.Errorf("%s is encoded again as %s, want %s", in, out, want)
		}
	}
}

func TestBytesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Bytes(rapid.Int64Min(0).Draw(t, "n") >> rapid.IntRange(0, 62).Draw(t, "shift") << rapid.IntRange(0, 10).Draw(t, "unit"))
		if b < 0 {
			b = math.MaxInt64
		}
		if got, err := ParseBytes(b.String()); err != nil || got != b {
			t.Fatalf("%d prints %s, which reads %d, %v", b, b, got, err)
		}
	})
}

func TestPercentJSON(t *testing.T) {
	for in, want := range map[string]string{
		`"5%"`: `"5%"`, `"0.5%"`: `"0.5%"`, `0.5`: `"0.5%"`, `"5"`: `"5%"`, `"5 %"`: `"5%"`, `100`: `"100%"`, `null`: `"7%"`, `0`: `"0%"`,
		`"5%%"`: "", `"-5%"`: "", `-5`: "", `true`: "", `"five"`: "", `[5]`: "", `1e300`: "",
	} {
		p := Percent(7)
		err := json.Unmarshal([]byte(in), &p)
		if (err != nil) != (want == "") {
			t.Errorf("%s decodes to %v, %v", in, p, err)
			continue
		}
		if out, _ := json.Marshal(p); err == nil && string(out) != want {
			t.Errorf("%s is encoded again as %s, want %s", in, out, want)
		}
	}
}

func FuzzParseBytes(f *testing.F) {
	for _, s := range []string{"64KiB", "1.5GiB", "10MB", "1048576", "0", "-1", "1e9", "0.1kB", "9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := ParseBytes(s)
		if err != nil {
			return
		}
		if b < 0 {
			t.Fatalf("%q reads %d", s, b)
		}
		if again, err := ParseBytes(b.String()); err != nil || again != b {
			t.Fatalf("%q reads %v, which reads %v, %v", s, b, again, err)
		}
	})
}
