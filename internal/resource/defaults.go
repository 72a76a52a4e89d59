package resource

import "time"

// DefaultScaleSetSpec is what a ScaleSet says that is not written. Image has no default.
func DefaultScaleSetSpec() ScaleSetSpec {
	var s ScaleSetSpec
	s.setDefaults()
	return s
}

// DefaultLoadBalancerSpec is what a LoadBalancer says that is not written. Listen
// and Backend or Routes have no default.
func DefaultLoadBalancerSpec() LoadBalancerSpec {
	var s LoadBalancerSpec
	s.setDefaults()
	return s
}

const (
	second = Duration(time.Second)
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
)

func (s *ScaleSetSpec) setDefaults() {
	*s = ScaleSetSpec{
		Capacity:      1,
		StopTimeout:   10 * second,
		DataRetention: 24 * hour,
		Health: HealthCheck{
			Interval: second, Timeout: second, UnhealthyThreshold: 3, HealthyThreshold: 1, GracePeriod: 30 * second,
		},
		UpgradePolicy: UpgradePolicy{
			Mode: ModeBlueGreen,
			BlueGreen: BlueGreenPolicy{
				StartTimeout: 5 * minute, BakeTime: 10 * second, KeepPrevious: 5 * minute, MaxErrorRate: 5, MinRequests: 50,
				Promotion: PromotionAutomatic, MinSample: 100,
			},
			RollbackOnFailure: true,
		},
	}
}

func (s *LoadBalancerSpec) setDefaults() {
	*s = LoadBalancerSpec{
		Protocol:        ProtocolHTTP,
		BackendProtocol: BackendHTTP1,
		DrainTimeout:    30 * second,
		QueueTimeout:    5 * second,
		Limits: LoadBalancerLimits{
			MaxHeaderBytes: 64 << 10, MaxConnections: 20_000, HeaderTimeout: 10 * second, IdleTimeout: 75 * second, MaxQueue: 1000,
		},
	}
}

func (n *Notification) setDefaults() { *n = Notification{NotBeforeTimeout: 5 * minute} }

func (p *Probe) setDefaults() {
	*p = Probe{Interval: second, Timeout: second, UnhealthyThreshold: 2, HealthyThreshold: 1}
}

func (l *AccessLog) setDefaults() { *l = AccessLog{MaxBytes: 100 << 20, Keep: 5} }

func (v *Validation) setDefaults() { *v = Validation{Expect: 200, Timeout: 10 * second} }

func (s *ImageSpec) setDefaults() { *s = ImageSpec{OSType: "Linux"} }

func (s *ImageVersionSpec) setDefaults() { *s = ImageVersionSpec{} }

func (s *TokenSpec) setDefaults() { *s = TokenSpec{} }
