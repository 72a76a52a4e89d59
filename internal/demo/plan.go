package demo

import (
	"fmt"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

const (
	setName   = "hello"
	instances = 4
	// rate is over what is promised, so that a busy machine still keeps that.
	rate        = 1200
	connections = 32
	// MinDuration is the shortest demo that tells the whole story.
	MinDuration = 20 * time.Second
)

// pace divides the demo's time: everything but starting and stopping shrinks with it.
type pace struct {
	pause, bake, keep time.Duration
}

func paceOf(total time.Duration) pace {
	return pace{
		pause: min(max(total/15, time.Second), 5*time.Second),
		bake:  min(max(total/10, 2*time.Second), 10*time.Second),
		keep:  time.Minute,
	}
}

// rolloutTime is what a rollout takes beside its bake, on a machine that isn't idle.
const rolloutTime = 1500 * time.Millisecond

// rest is how long to rest with left of the time and so many rollouts to come: on a
// busy machine the rests are what gives.
func (p pace) rest(left time.Duration, rollouts int) time.Duration {
	spare := left - time.Duration(rollouts)*(p.bake+rolloutTime)
	return max(0, min(p.pause, spare/time.Duration(rollouts+1)))
}

// version is one version of the sample program.
type version struct {
	number string
	config string // of the sample program
}

// versions: the last one's health check fails once it has handled some requests.
var versions = []version{
	{"1.0.0", `{"version":"1.0.0"}`},
	{"2.0.0", `{"version":"2.0.0"}`},
	{"3.0.0", `{"version":"3.0.0","failAfterRequests":200}`},
}

// documents are the scale set and its balancer, as a user would write them.
func documents(p pace) []string {
	return []string{fmt.Sprintf(`{
  "kind": "ScaleSet", "name": %q,
  "spec": {
    "image": "hello:1.0.0", "capacity": %d, "stopTimeout": "2s",
    "health": {"path": "/healthz", "interval": "250ms", "timeout": "1s", "unhealthyThreshold": 3},
    "upgradePolicy": {"mode": "BlueGreen", "blueGreen": {"startTimeout": "15s", "bakeTime": %q, "keepPrevious": %q}}
  }
}`, setName, instances, resource.Duration(p.bake), resource.Duration(p.keep)), fmt.Sprintf(`{
  "kind": "LoadBalancer", "name": "front",
  "spec": {"listen": "127.0.0.1:0", "backend": %q, "drainTimeout": "2s"}
}`, setName)}
}
