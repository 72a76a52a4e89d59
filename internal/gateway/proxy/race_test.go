//go:build race

package proxy

// costOfMemory is what the race detector does to what is allocated.
const costOfMemory = 2
