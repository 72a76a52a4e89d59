// Package load is the load generator of the demo and of the end-to-end tests.
//
// It speaks HTTP/1.1 on connections of its own, one request after the other on
// each, at a steady rate, and never sends anything twice: what got no complete
// answer has failed, as has what found its connection closed without a word. Every request carries a nonce in NonceHeader, which the
// workload writes down, so that a request that ran twice is seen.
package load
