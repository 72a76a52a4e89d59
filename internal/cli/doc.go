// Package cli is Drover's command line, one file a command. Except for the few
// commands that are a server themselves (up, down and restore without one, and
// the hidden ones), every command is a client of the HTTP API and could be
// written by a user with curl.
//
// What scripts may rely on: exit code 0 done, 1 failed, 2 wrong usage (diff: 0
// equal, 1 different, 2 error); results on standard output, everything else on
// standard error, an error on one line that begins with "drover: "; -o json.
//
// No command keeps state. Killed at any point it leaves the server to finish
// what the server accepted; what was not yet asked for does not happen.
package cli
