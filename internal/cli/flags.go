package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/droverhq/drover/internal/resource"
)

// duration is a flag in any of the forms that documents take.
type duration resource.Duration

func (d duration) String() string {
	if d == 0 {
		return ""
	}
	return resource.Duration(d).String()
}
func (d duration) Type() string { return "duration" }

func (d *duration) Set(s string) error {
	v, err := resource.ParseDuration(s)
	*d = duration(v)
	return err
}

// numberRange is a flag LOW-HIGH.
type numberRange struct{ low, high int }

func (r numberRange) String() string { return fmt.Sprintf("%d-%d", r.low, r.high) }
func (r numberRange) Type() string   { return "LOW-HIGH" }

func (r *numberRange) Set(s string) error {
	low, high, found := strings.Cut(s, "-")
	var err, err2 error
	r.low, err = strconv.Atoi(low)
	r.high, err2 = strconv.Atoi(high)
	if !found || err != nil || err2 != nil || r.low < 1 || r.high < r.low {
		return fmt.Errorf("want LOW-HIGH, two numbers above 0, for example %s", "20000-29999")
	}
	return nil
}
