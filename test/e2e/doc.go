// Package e2e holds stories against the real binary: a server in a folder of its
// own, real programs as workloads, real clients. Sizes are small unless the tests
// are given -long.
package e2e
