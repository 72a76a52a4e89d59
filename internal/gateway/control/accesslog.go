package control

import (
	"context"
	"maps"
	"time"

	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
)

// logProblems says of each balancer that the gateway has why its access log is not
// written; empty: it is, or there is none.
func (a *answers) logProblems() map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return logProblemsOf(a.facts)
}

func logProblemsOf(f wire.Facts) map[string]string {
	problems := map[string]string{}
	for _, b := range f.Balancers {
		problems[b.Name] = b.LogProblem
	}
	return problems
}

// reportLogs writes into the load balancers' status that lines of their access logs
// are lost, or that they are not any more.
func (c *Control) reportLogs(ctx context.Context) error {
	problems := c.logProblems()
	c.view.with(func(d documents) {
		maps.DeleteFunc(problems, func(name, problem string) bool {
			b, ok := d.balancers[name]
			return !ok || saysOfLog(b.Status) == problem
		})
	})
	for name, problem := range problems {
		err := c.edit(ctx, name, func(s *resource.LoadBalancerStatus, now time.Time) {
			s.Conditions = resource.ClearCondition(s.Conditions, resource.ConditionAccessLogFailing)
			if problem != "" {
				s.Conditions = resource.SetCondition(s.Conditions, resource.Condition{
					Type: resource.ConditionAccessLogFailing, Status: true, Reason: "CannotWrite", Message: problem, Since: now,
				})
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func saysOfLog(s resource.LoadBalancerStatus) (problem string) {
	if c := resource.FindCondition(s.Conditions, resource.ConditionAccessLogFailing); c != nil {
		return c.Message
	}
	return ""
}
