// Package archtest holds the rules that keep Drover's rooms apart, and its test
// fails where one is broken and says why the rule exists.
//
// The rooms and who may import whom are data (rooms.go), so that opening a room
// is one line with a reason. The source is parsed and never built: files of
// every operating system are judged, also those that this machine skips.
package archtest
