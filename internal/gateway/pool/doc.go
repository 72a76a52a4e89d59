// Package pool picks the instance that a request goes to, and knows when an
// instance has nothing left to do.
//
// A Pool is the instances of one backend as one balancer sees them. Claim picks
// the member with the fewest requests among those that are in service and
// healthy (ties go round) and counts the request in the same critical section:
// there is no instant at which a request holds a member that a drain did not
// count. So once a drain reports Idle, no request reaches that member any more.
//
// Where colours have weights, a request first gets the colour whose turn it is, so
// that each gets its share of any number of requests to within one, and then the
// least busy member of that colour; if none of it can be picked, one of another.
//
// Who brings the Key of a member that can be picked gets that one, whatever is in
// flight there, beside the shares; a colour without one keeps nobody.
//
// A member is InService, Draining or Out (what the documents say), and apart
// from that healthy or not (what probes say) and refused or not (nobody listened
// at the last request's connect; until the next successful probe). A drain
// begins when InService becomes Draining and ends
//
//	Idle     when nothing is in flight,
//	Dead     the same, when the process ended meanwhile,
//	Timeout  at its time-out: what is still in flight is interrupted.
//
// Out, or being removed, interrupts at once. A drain that is taken back
// (InService again) leaves no trace.
package pool
