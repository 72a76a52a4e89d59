package resource

import "math"

func (b *BlueGreenPolicy) validate(c *checker, at string) {
	within(c, at+"/startTimeout", b.StartTimeout, second/1000, day)
	within(c, at+"/bakeTime", b.BakeTime, 0, day)
	within(c, at+"/keepPrevious", b.KeepPrevious, 0, 30*day)
	within(c, at+"/maxErrorRate", b.MaxErrorRate, 0, 100)
	within(c, at+"/minRequests", b.MinRequests, 0, math.MaxInt32)
	oneOf(c, at+"/promotion", b.Promotion, PromotionAutomatic, PromotionManual)
	within(c, at+"/minSample", b.MinSample, 0, math.MaxInt32)
	b.Preview.validate(c, at+"/preview")
	b.Validate.validate(c, at+"/validate")
	checkCanary(c, at+"/canary", b.Canary)
	b.checkAnalysis(c, at)
}

// checkAnalysis refuses what would compare nothing: only in a canary step do both
// versions get traffic at the same time.
func (b *BlueGreenPolicy) checkAnalysis(c *checker, at string) {
	if r := b.MaxP99Ratio; r != nil {
		within(c, at+"/maxP99Ratio", *r, 0.01, 1000)
		if len(b.Canary) == 0 {
			c.add(at+"/maxP99Ratio", "compares both versions while both get traffic, which is in canary steps only: add canary, for example [{percent: 10, hold: 30s}]")
		}
	}
	if b.RequireAnalysis && len(b.Canary) == 0 {
		c.add(at+"/requireAnalysis", "is about canary steps, and there are none: add canary, for example [{percent: 10, hold: 30s}]")
	}
}

func (p *Preview) validate(c *checker, at string) {
	switch {
	case p == nil:
	case p.Listen == "":
		c.add(at+"/listen", `expected HOST:PORT, for example "127.0.0.1:8081"`)
	default:
		c.checkAddress(at+"/listen", p.Listen, 0)
	}
}

func (v *Validation) validate(c *checker, at string) {
	if v == nil {
		return
	}
	if v.Path == "" {
		c.add(at+"/path", "expected the path to ask for, for example /selftest")
	}
	c.checkRequestPath(at+"/path", v.Path)
	within(c, at+"/expect", v.Expect, 100, 599)
	within(c, at+"/timeout", v.Timeout, second/1000, hour)
}

const maxCanarySteps = 100

func checkCanary(c *checker, at string, steps []CanaryStep) {
	if len(steps) > maxCanarySteps {
		c.add(at, "expected at most %d steps, not %d", maxCanarySteps, len(steps))
		return
	}
	least := 1
	for i, s := range steps {
		here := pointerTo(at, itoa(i))
		switch {
		case s.Percent < 1 || s.Percent > 99:
			within(c, here+"/percent", s.Percent, 1, 99)
		case s.Percent < least:
			c.add(here+"/percent", "%d is not more than the step before it: each gives the new version more", s.Percent)
		}
		least = s.Percent + 1
		within(c, here+"/hold", s.Hold, second/1000, day)
	}
}
