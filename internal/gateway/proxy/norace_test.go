//go:build !race

package proxy

// costOfMemory is what the race detector would do to what is allocated.
const costOfMemory = 1
