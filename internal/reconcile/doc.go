// Package reconcile holds the one control loop of Drover: watch the store,
// queue the touched documents by key, and call a room's Reconcile for each,
// one worker a key at a time.
//
// A key that fails comes again after an exponential backoff. A touch, during the
// failing run or after it, brings that forward to a second after the failure, but
// no nearer: a change may be what mends it, yet a run that touches its own key
// before it fails must not spin. A key may also ask to come again after a while.
//
// All keys come again at every resync and after a watch that fell too far behind,
// so Reconcile must be level-triggered: it looks at what is stored and observed,
// never at which change woke it. A crash at any point loses nothing but the queue,
// which the next start fills from a list.
package reconcile
