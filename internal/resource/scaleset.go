package resource

import "time"

// ScaleSet is N identical instances of one model.
type ScaleSet = Object[ScaleSetSpec, ScaleSetStatus]

const KindScaleSet = "ScaleSet"

type UpgradeMode string

const (
	ModeBlueGreen UpgradeMode = "BlueGreen"
	ModeRolling   UpgradeMode = "Rolling"
	ModeManual    UpgradeMode = "Manual"
)

type ScaleSetSpec struct {
	// Image is NAME:M.m.p, NAME@sha256:…, or NAME alone, which follows latest.
	Image         string            `json:"image"`
	Capacity      int               `json:"capacity"` // 0…10,000
	Command       []string          `json:"command,omitempty"`
	Env           map[string]string `json:"env,omitempty"`
	Root          string            `json:"root,omitempty"` // RootHost, RootImage or empty: decided by the image
	Resources     *Resources        `json:"resources,omitempty"`
	StopTimeout   Duration          `json:"stopTimeout"`
	DataRetention Duration          `json:"dataRetention"`
	Health        HealthCheck       `json:"health"`
	UpgradePolicy UpgradePolicy     `json:"upgradePolicy"`
	// TerminateNotification announces to an instance that it is to be deleted.
	TerminateNotification *Notification `json:"terminateNotification,omitempty"`
	// ReimageNotification announces to an instance that it is to be reimaged.
	ReimageNotification *Notification `json:"reimageNotification,omitempty"`
}

const (
	RootHost  = "host"
	RootImage = "image"
)

// Resources are limits; nil means not limited (pids always is).
type Resources struct {
	CPU    *float64 `json:"cpu,omitempty"` // cores
	Memory *Bytes   `json:"memory,omitempty"`
	PIDs   *int     `json:"pids,omitempty"`
}

// HealthCheck is one probe: an HTTP GET of Path that must answer exactly 200,
// a TCP connect when Path is empty, or (Process) running for GracePeriod.
type HealthCheck struct {
	Path               string   `json:"path,omitempty"`
	Process            bool     `json:"process,omitempty"`
	Interval           Duration `json:"interval"`
	Timeout            Duration `json:"timeout"`
	UnhealthyThreshold int      `json:"unhealthyThreshold"`
	HealthyThreshold   int      `json:"healthyThreshold"`
	GracePeriod        Duration `json:"gracePeriod"`
}

type UpgradePolicy struct {
	Mode              UpgradeMode     `json:"mode"`
	BlueGreen         BlueGreenPolicy `json:"blueGreen"`
	RollbackOnFailure bool            `json:"rollbackOnFailure"`
}

type BlueGreenPolicy struct {
	StartTimeout Duration     `json:"startTimeout"`
	BakeTime     Duration     `json:"bakeTime"`
	KeepPrevious Duration     `json:"keepPrevious"`
	MaxErrorRate Percent      `json:"maxErrorRate"`
	MinRequests  int          `json:"minRequests"`
	Promotion    Promotion    `json:"promotion,omitempty"`
	Preview      *Preview     `json:"preview,omitempty"`
	Validate     *Validation  `json:"validate,omitempty"`
	Canary       []CanaryStep `json:"canary,omitempty"`
	// MaxP99Ratio is the new p99 by the old one's in the same window: a canary step's.
	MaxP99Ratio *float64 `json:"maxP99Ratio,omitempty"`
	// MinSample is how many requests each version must have had for a canary step to
	// tell anything; with RequireAnalysis, one that tells nothing goes back.
	MinSample       int  `json:"minSample"`
	RequireAnalysis bool `json:"requireAnalysis"`
}

// Promotion is who lets the traffic move once the new colour could take it.
type Promotion string

const (
	PromotionAutomatic Promotion = "Automatic"
	PromotionManual    Promotion = "Manual"
)

// Preview is where the new colour can be reached before the traffic moves.
type Preview struct {
	Listen string `json:"listen"`
}

// Validation is a request that each new instance must answer before it gets traffic.
type Validation struct {
	Path    string   `json:"path"`
	Expect  int      `json:"expect"`
	Timeout Duration `json:"timeout"`
}

// CanaryStep gives the new colour a share of the traffic for a while.
type CanaryStep struct {
	Percent int      `json:"percent"`
	Hold    Duration `json:"hold"`
}

// Model is what an instance is made from. Two models are the same when Key is.
type Model struct {
	Image     string            `json:"image"`   // NAME:M.m.p as resolved, or NAME@sha256:…
	Digest    string            `json:"digest"`  // of the OCI manifest
	Version   string            `json:"version"` // M.m.p, or the short digest
	Command   []string          `json:"command,omitempty"`
	Env       map[string]string `json:"env,omitempty"`
	Root      string            `json:"root,omitempty"`
	Resources *Resources        `json:"resources,omitempty"`
}

type ScaleSetStatus struct {
	// Model is what runs and what new instances get; nil until the image was first found.
	Model     *Model         `json:"model,omitempty"`
	BadModels List[BadModel] `json:"badModels"`
	// Colour serves; Previous is the colour kept warm after a rollout.
	Colour   Colour    `json:"colour,omitempty"`
	Previous *Previous `json:"previous,omitempty"`
	// Weights are the colours' shares of the traffic in percent; nil: all that are in
	// service are the same to the gateway.
	Weights map[Colour]int `json:"weights,omitempty"`
	// Preview is what the gateway is to listen on beside the load balancers, or nil.
	Preview *PreviewOf `json:"preview,omitempty"`
	// Rollout is the name of the one that runs, or empty.
	Rollout string `json:"rollout,omitempty"`
	// LastRollout is the last one that Succeeded: what `rollout rollback` goes back from.
	LastRollout string `json:"lastRollout,omitempty"`
	Instances   Tally  `json:"instances"`
	// NextInstance and NextRollout are numbers never used before.
	NextInstance int       `json:"nextInstance"`
	NextRollout  int       `json:"nextRollout"`
	Deleting     *Deleting `json:"deleting,omitempty"`
	// ScheduledEvents is what the set's instances are told; nil: never anything yet.
	ScheduledEvents *ScheduledEvents `json:"scheduledEvents,omitempty"`
	Conditions      List[Condition]  `json:"conditions"`
}

// Told says whether an event of its instances is open.
func (s *ScaleSetStatus) Told() bool {
	return s.ScheduledEvents != nil && len(s.ScheduledEvents.Events) > 0
}

// Tally counts a set's instances: all of them, those of the serving colour that
// are Healthy and to stay, those that take traffic, and those that were told that
// they are to be deleted.
type Tally struct {
	Total       int `json:"total"`
	Healthy     int `json:"healthy"`
	InService   int `json:"inService"`
	UnderNotice int `json:"underNotice,omitempty"`
}

// BadModel is a model that a rollout left because it failed. It is not tried again by itself.
type BadModel struct {
	Key     string    `json:"key"` // Model.Key
	Model   Model     `json:"model"`
	Rollout string    `json:"rollout"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

// Previous is the colour that a finished rollout left, kept warm until Until.
type Previous struct {
	Colour  Colour    `json:"colour"`
	Model   Model     `json:"model"`
	Rollout string    `json:"rollout"`
	Until   time.Time `json:"until"`
	// Failed marks a new colour kept to look into (rollbackOnFailure: false); it is no rollback target.
	Failed bool `json:"failed,omitempty"`
}

// PreviewOf is a preview that is to be served now.
type PreviewOf struct {
	Preview
	Colour Colour `json:"colour"`
}

// Deleting marks a set that is on its way out.
type Deleting struct {
	Since time.Time `json:"since"`
}

// Colour is one of the two generations of instances in a blue/green set.
type Colour string

const (
	Blue  Colour = "blue"
	Green Colour = "green"
)

// Other returns the other colour; blue is first.
func (c Colour) Other() Colour {
	if c == Blue {
		return Green
	}
	return Blue
}

// Condition types of a ScaleSet.
const (
	ConditionImageNotFound     = "ImageNotFound"
	ConditionSpecNotRunning    = "SpecNotRunning" // spec and status differ; the message says why
	ConditionImageFieldsUnused = "ImageFieldsIgnored"
	ConditionRecovered         = "Recovered"        // an older snapshot was served
	ConditionDrainUnconfirmed  = "DrainUnconfirmed" // no gateway says that a drain has ended
	ConditionValidationFailed  = "ValidationFailed" // an instance takes no traffic for it
)
