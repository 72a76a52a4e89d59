// Package sample is the small web program that the demo and the end-to-end tests
// roll out. It answers with its version, writes down every nonce that it handled,
// and fails in the ways that a test asks for.
package sample
