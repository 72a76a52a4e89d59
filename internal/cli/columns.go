package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// columns are the table of one kind.
type columns struct {
	header []string
	cells  func(now time.Time, d resource.Document) ([]string, error)
}

// columnsOf is how documents of a kind are listed for people.
func columnsOf(kind string) columns {
	switch kind {
	case resource.KindScaleSet:
		return columns{[]string{"NAME", "IMAGE", "RUNNING", "CAPACITY", "HEALTHY", "INSERVICE", "ROLLOUT"}, typed(scaleSetCells)}
	case resource.KindInstance:
		return columns{[]string{"NAME", "SET", "COLOUR", "VERSION", "HEALTH", "ADMISSION", "ADDRESS", "PID", "RESTARTS", "AGE"}, typed(instanceCells)}
	case resource.KindRollout:
		return columns{[]string{"NAME", "SET", "STRATEGY", "FROM", "TO", "PHASE", "STEP", "AGE"}, typed(rolloutCells)}
	case resource.KindLoadBalancer:
		return columns{[]string{"NAME", "LISTEN", "PROTOCOL", "BACKEND", "LISTENING", "AGE"}, typed(loadBalancerCells)}
	case resource.KindImage:
		return columns{[]string{"NAME", "LATEST", "DESCRIPTION", "AGE"}, typed(imageCells)}
	case resource.KindImageVersion:
		return columns{[]string{"NAME", "DIGEST", "SIZE", "IN USE BY", "PUBLISHED"}, typed(imageVersionCells)}
	case resource.KindToken:
		return columns{[]string{"NAME", "ROLE", "SCOPES", "EXPIRES", "AGE"}, typed(tokenCells)}
	}
	return columns{[]string{"NAME", "AGE"}, func(now time.Time, d resource.Document) ([]string, error) {
		return []string{d.Name, age(now, d.Created)}, nil
	}}
}

// typed decodes the document for a function that knows its kind.
func typed[S, T any](fn func(time.Time, resource.Object[S, T]) []string) func(time.Time, resource.Document) ([]string, error) {
	return func(now time.Time, d resource.Document) ([]string, error) {
		o, err := resource.From[S, T](d)
		if err != nil {
			return nil, err
		}
		return fn(now, o), nil
	}
}

func scaleSetCells(_ time.Time, s resource.ScaleSet) []string {
	running := ""
	if s.Status.Model != nil {
		running = s.Status.Model.Version
	}
	rollout := s.Status.Rollout
	if s.Status.Deleting != nil {
		rollout = "deleting"
	}
	n := s.Status.Instances
	return []string{s.Name, s.Spec.Image, running, strconv.Itoa(s.Spec.Capacity), strconv.Itoa(n.Healthy), strconv.Itoa(n.InService), rollout}
}

func instanceCells(now time.Time, i resource.Instance) []string {
	s, pid := i.Status, ""
	if s.PID > 0 {
		pid = strconv.Itoa(s.PID)
	}
	return []string{i.Name, s.Set, string(s.Colour), s.Version, string(s.Health), admissionText(s), s.Address, pid, strconv.Itoa(s.Restarts), age(now, i.Created)}
}

// admissionText also says what the instance was told, or is asked to do.
func admissionText(s resource.InstanceStatus) string {
	op := s.Operation
	switch {
	case s.Goal == resource.GoalDelete:
		return string(s.Admission)
	case op != nil && op.Released != nil:
		return string(s.Admission) + " (" + progressive[op.Action] + ")"
	case s.Notice != nil:
		return string(s.Admission) + " (under notice)"
	}
	return string(s.Admission)
}

func rolloutCells(now time.Time, r resource.Rollout) []string {
	return []string{
		r.Name, r.Spec.Set, string(r.Spec.Strategy), shortImage(r.Spec.From), shortImage(r.Spec.To),
		string(r.Status.Phase), r.Status.Step, age(now, r.Created),
	}
}

func loadBalancerCells(now time.Time, lb resource.LoadBalancer) []string {
	backend := backendText(lb.Spec.Backend)
	if len(lb.Spec.Routes) > 0 {
		backend = count(len(lb.Spec.Routes), "route")
	}
	listening := lb.Status.Address
	if c := resource.FindCondition(lb.Status.Conditions, resource.ConditionListening); c != nil && !c.Status {
		listening = "no: " + c.Message
	}
	return []string{lb.Name, lb.Spec.Listen, lb.Spec.Protocol, backend, listening, age(now, lb.Created)}
}

func backendText(b *resource.Backend) string {
	if b == nil {
		return ""
	}
	if b.Set != "" {
		return b.Set
	}
	return strings.Join(b.Addresses, ",")
}

func imageCells(now time.Time, i resource.Image) []string {
	return []string{i.Name, i.Status.Latest, i.Spec.Description, age(now, i.Created)}
}

func imageVersionCells(now time.Time, v resource.ImageVersion) []string {
	published := ""
	if !v.Status.PublishedAt.IsZero() {
		published = age(now, v.Status.PublishedAt) + " ago"
	}
	if v.Spec.Revoked != nil {
		published += " (revoked)"
	}
	return []string{v.Name, shortDigest(v.Status.Digest), sizeText(v.Status.Bytes), strings.Join(v.Status.InUseBy, ","), published}
}

func tokenCells(now time.Time, t resource.Token) []string {
	expires := "never"
	if e := t.Spec.Expires; e != nil {
		expires = "in " + age(*e, now)
		if !e.After(now) {
			expires = "expired"
		}
	}
	scopes := strings.Join(t.Spec.Scopes, ",")
	if scopes == "" {
		scopes = "everything"
	}
	return []string{t.Name, string(t.Spec.Role), scopes, expires, age(now, t.Created)}
}

// shortImage names an image by its version, or by the start of its digest.
func shortImage(r resource.Reference) string {
	if name, digest, ok := strings.Cut(r.Image, "@"); ok {
		return name + "@" + shortDigest(digest)
	}
	return r.Image
}

func shortDigest(d string) string {
	algorithm, sum, ok := strings.Cut(d, ":")
	if !ok || len(sum) <= 12 {
		return d
	}
	return algorithm + ":" + sum[:12]
}

// sizeText is a size in the largest binary unit, with one decimal.
func sizeText(b int64) string {
	size, units := float64(b), []string{"B", "KiB", "MiB", "GiB", "TiB"}
	for size >= 1024 && len(units) > 1 {
		size, units = size/1024, units[1:]
	}
	if units[0] == "B" {
		return fmt.Sprintf("%d B", b)
	}
	return fmt.Sprintf("%.1f %s", size, units[0])
}
