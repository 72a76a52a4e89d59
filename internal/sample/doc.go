// Package sample is the small web program that the demo and the end-to-end tests
// roll out. It answers with its version, by HTTP/1.1 and by HTTP/2 without TLS, writes
// down every nonce that it handled, streams events, takes and gives large bodies whose
// content both ends know, and fails in the ways that a test asks for.
package sample
