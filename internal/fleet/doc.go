// Package fleet holds scale sets and rollouts: which instances there should be,
// which of them take traffic, and how a set goes from one model to another.
//
// # What it promises
//
// Instances are only asked for here (a document with Goal, Admission and Model)
// and made true by compute; traffic is only asked for here (Admission) and moved
// by the gateways. fleet goes on when what it asked for is observed: health from
// the Instance documents, confirmed routing and finished drains from Traffic.
//
// Nothing that took traffic is deleted before every gateway has said that its
// drain is over, or has been silent for longer than one lives without answering.
// One that is owed a notice (notice.go) is told first, and from then on counts for
// nothing but its own way out. What is asked of one instance (operation.go) is done
// out of service, too (operate.go): compute is asked to end its process once its drain
// is over, and it comes back when the next one is healthy. No rollout is blamed for it.
// Traffic never goes back to a colour without a healthy instance while the other has one. A rollout never takes an instance of the serving colour out
// before all instances of the new one are Healthy, and it always ends: each
// phase has a limit, and what runs out of time goes back. The new colour gets no
// traffic before it was validated and promoted, and no more than its canary step says.
//
// # States
//
// Pending → Starting → Validating → Shifting → Baking → Finishing → Succeeded is the
// good way, Validating only where the policy has a validation; any phase before
// Finishing may be Paused, by a user or for a promotion, and any may turn to
// RollingBack, which ends in RolledBack, Cancelled or Failed. Canary steps are within
// Shifting. resource.CheckTransition has the
// table and is asked on every write.
//
// # What a crash does
//
// All progress is in the ScaleSet and Rollout documents. Every step is one
// transaction that writes the instances, the rollout and the set together, so a
// crash leaves a step either not begun or done; the next start decides again
// from what is stored and observed. Decide is a pure function of that.
package fleet
