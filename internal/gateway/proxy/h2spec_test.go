package proxy

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	spec2 "github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
)

// exempt are the cases that fail on purpose, with the reasons that docs/http2.md gives.
var exempt = map[string]bool{
	"http2/3.5/2": true, // an invalid preface
}

// All cases of h2spec pass but those that are exempt, and those do not.
func TestH2Spec(t *testing.T) {
	g := newRig(t)
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	host, port, _ := net.SplitHostPort(g.address)
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	c := &config.Config{Host: host, Port: number, Path: "/", Timeout: 2 * time.Second, MaxHeaderLen: 4000, Strict: true}
	cases := 0
	for _, group := range []*spec.TestGroup{generic.Spec(), spec2.Spec(), hpack.Spec()} {
		group.Test(c)
		cases += checkSpec(t, group)
	}
	t.Logf("%d cases", cases)
}

func checkSpec(t *testing.T, g *spec.TestGroup) (cases int) {
	for i, c := range append(g.Tests, g.StrictTests...) {
		name := fmt.Sprintf("%s/%d", g.ID(), i+1)
		cases++
		switch failed := c.Result == nil || c.Result.Failed || c.Result.Skipped; {
		case failed && !exempt[name]:
			t.Errorf("%s: %s", name, c.Desc)
		case !failed && exempt[name]:
			t.Errorf("%s passes: docs/http2.md says otherwise", name)
		}
	}
	for _, sub := range g.Groups {
		cases += checkSpec(t, sub)
	}
	return cases
}
