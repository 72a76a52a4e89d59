package resource

import (
	"math"
	"strings"
)

// MaxCapacity is how many instances a set may have.
const MaxCapacity = 10_000

// maxArgument is the longest argument or environment entry that a Linux process can be started with.
const maxArgument = 128<<10 - 1

func (s *ScaleSetSpec) validate(c *checker) {
	if s.Image == "" {
		c.add("/spec/image", "expected an image, for example hello:1.0.0, or hello to follow the newest version")
	} else if _, err := ParseImageRef(s.Image); err != nil {
		c.addErr("/spec/image", err)
	}
	within(c, "/spec/capacity", s.Capacity, 0, MaxCapacity)
	checkCommand(c, s.Command)
	checkEnv(c, s.Env)
	if s.Root != "" {
		oneOf(c, "/spec/root", s.Root, RootHost, RootImage)
	}
	s.Resources.validate(c)
	within(c, "/spec/stopTimeout", s.StopTimeout, 0, hour)
	within(c, "/spec/dataRetention", s.DataRetention, 0, 365*day)
	s.Health.validate(c)
	s.UpgradePolicy.validate(c)
	s.TerminateNotification.validate(c, "/spec/terminateNotification")
	s.ReimageNotification.validate(c, "/spec/reimageNotification")
}

func (n *Notification) validate(c *checker, at string) {
	if n != nil {
		within(c, at+"/notBeforeTimeout", n.NotBeforeTimeout, 0, MaxNotice)
	}
}

func checkCommand(c *checker, command []string) {
	for i, arg := range command {
		at := pointerTo("/spec/command", itoa(i))
		switch {
		case i == 0 && arg == "":
			c.add(at, `the program's name is empty: write for example ["./server"], or leave command out to take the image's`)
		case strings.ContainsRune(arg, 0):
			c.add(at, "an argument cannot hold a NUL byte")
		case len(arg) > maxArgument:
			c.add(at, "an argument cannot be longer than %d bytes", maxArgument)
		}
	}
}

func checkEnv(c *checker, env map[string]string) {
	for name, value := range sorted(env) {
		at := pointerTo("/spec/env", name)
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00"):
			c.add(at, "%s cannot name an environment variable: it may not be empty or hold = or a NUL byte", quote(name))
		case name == "PORT" || name == "DATA_DIR" || name == "IMDS_ENDPOINT" || strings.HasPrefix(name, "DROVER_"):
			c.add(at, "%s is Drover's to set: it differs from instance to instance", quote(name))
		case strings.ContainsRune(value, 0):
			c.add(at, "an environment variable cannot hold a NUL byte")
		case len(name)+1+len(value) > maxArgument:
			c.add(at, "an environment variable cannot be longer than %d bytes", maxArgument)
		}
	}
}

func (r *Resources) validate(c *checker) {
	if r == nil {
		return
	}
	if r.CPU != nil && (*r.CPU < 0.001 || *r.CPU > 4096 || math.IsNaN(*r.CPU)) {
		c.add("/spec/resources/cpu", "%v is out of range: write the number of cores, 0.001 to 4096, or leave it out for no limit", *r.CPU)
	}
	if r.Memory != nil && *r.Memory < 1<<20 {
		c.add("/spec/resources/memory", "%v is too little for a process: write 1MiB or more, or leave it out for no limit", *r.Memory)
	}
	if r.PIDs != nil {
		within(c, "/spec/resources/pids", *r.PIDs, 1, 4<<20)
	}
}

func (h *HealthCheck) validate(c *checker) {
	const at = "/spec/health"
	c.checkRequestPath(at+"/path", h.Path)
	if h.Process && h.Path != "" {
		c.add(at+"/process", "process: true asks for no request: leave out path or process")
	}
	within(c, at+"/interval", h.Interval, second/1000, hour)
	within(c, at+"/timeout", h.Timeout, second/1000, hour)
	within(c, at+"/unhealthyThreshold", h.UnhealthyThreshold, 1, 1000)
	within(c, at+"/healthyThreshold", h.HealthyThreshold, 1, 1000)
	within(c, at+"/gracePeriod", h.GracePeriod, 0, day)
}

func (p *UpgradePolicy) validate(c *checker) {
	const at = "/spec/upgradePolicy"
	oneOf(c, at+"/mode", p.Mode, ModeBlueGreen, ModeManual)
	p.BlueGreen.validate(c, at+"/blueGreen")
}
