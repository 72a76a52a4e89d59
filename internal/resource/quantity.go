package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// Bytes is a number of bytes, written 64KiB, 1.5GiB, 10MB or as a plain number.
type Bytes int64

var (
	bytesText   = regexp.MustCompile(`^(\d{1,19}(?:\.\d{1,18})?) ?([A-Za-z]*)$`)
	percentText = regexp.MustCompile(`^(\d{1,9}(?:\.\d{1,9})?) ?%?$`)

	byteUnits = map[string]int64{
		"": 1, "b": 1,
		"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "pib": 1 << 50,
		"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "pb": 1e15,
	}
)

// ParseBytes reads a number of bytes; what is left of a byte by a fraction is dropped.
func ParseBytes(s string) (Bytes, error) {
	if m := bytesText.FindStringSubmatch(s); m != nil {
		unit, known := byteUnits[strings.ToLower(m[2])]
		number, ok := new(big.Rat).SetString(m[1])
		if known && ok {
			number.Mul(number, new(big.Rat).SetInt64(unit))
			whole := new(big.Int).Quo(number.Num(), number.Denom())
			if !whole.IsInt64() {
				return 0, fmt.Errorf("%s is more bytes than can be counted", quote(s))
			}
			return Bytes(whole.Int64()), nil
		}
	}
	return 0, fmt.Errorf("%s is not a number of bytes: write for example 64KiB, 256MiB, 1.5GiB, 10MB or 1048576", quote(s))
}

// String prints the largest binary unit that is exact.
func (b Bytes) String() string {
	units := []string{"PiB", "TiB", "GiB", "MiB", "KiB"}
	for i, unit := range units {
		size := Bytes(1) << (10 * (len(units) - i))
		if b != 0 && b%size == 0 {
			return strconv.FormatInt(int64(b/size), 10) + unit
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MarshalJSON gives text where there is a unit, else the plain number.
func (b Bytes) MarshalJSON() ([]byte, error) {
	s := b.String()
	if strings.HasSuffix(s, "B") {
		s = `"` + s + `"`
	}
	return []byte(s), nil
}

func (b *Bytes) UnmarshalJSON(raw []byte) error {
	s, err := textOrNumber(raw)
	if err != nil || s == "" {
		return orExpected(err, `a number of bytes, for example "64KiB" or 65536`)
	}
	n, err := ParseBytes(s)
	if err == nil {
		*b = n
	}
	return err
}

// Percent is a share in percent: 5 is 5 %. It is written 5%, 0.5% or as a bare number.
type Percent float64

// ParsePercent reads a share in percent.
func ParsePercent(s string) (Percent, error) {
	m := percentText.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%s is not a percentage: write for example 5%% or 0.5%%", quote(s))
	}
	f, err := strconv.ParseFloat(m[1], 64)
	return Percent(f), err
}

func (p Percent) String() string { return strconv.FormatFloat(float64(p), 'f', -1, 64) + "%" }

func (p Percent) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

func (p *Percent) UnmarshalJSON(raw []byte) error {
	s, err := textOrNumber(raw)
	if err != nil || s == "" {
		return orExpected(err, `a percentage, for example "5%" or 0.5`)
	}
	n, err := ParsePercent(s)
	if err == nil {
		*p = n
	}
	return err
}

var errNeither = errors.New("neither text nor a number")

// textOrNumber returns the text of a JSON string or number; "" for null, which leaves a value alone.
func textOrNumber(raw []byte) (string, error) {
	switch {
	case bytes.Equal(raw, []byte("null")):
		return "", nil
	case len(raw) == 0 || raw[0] == '{' || raw[0] == '[' || raw[0] == 't' || raw[0] == 'f':
		return "", errNeither
	case raw[0] != '"':
		return string(raw), nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", err
	}
	if s == "" {
		return "", errNeither
	}
	return s, nil
}

func orExpected(err error, what string) error {
	if err != nil {
		return fmt.Errorf("expected %s", what)
	}
	return nil
}
