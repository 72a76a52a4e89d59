// Package accesslog writes a line of JSON for every request to a file of the machine,
// and never holds a request up for it.
//
// A Log is that of one load balancer. Append puts a line into memory, at most
// maxPending bytes; one goroutine writes what has gathered, whole lines with each
// write. Lines that find no room, because the disk is slower than they come, or
// full, or the file cannot be opened, are dropped and counted; the next line that can
// be written says how many.
//
// # Who writes to the file
//
// Several logs may write to one file: those of load balancers that share it, and for a while
// those of a gateway and of the one that replaces it. Each appends (O_APPEND) with
// the file's lock (flock), and rotates with it: so no line is torn, none is lost to
// a rotation, and one rotation is made where two would have been. Whoever waited for
// the lock looks whether the file is still the one at its path, and opens it anew
// otherwise; that is how a file that logrotate has moved away is left, too. A lock that
// somebody keeps is waited for a moment and then done without.
//
// # A crash
//
// kill -9 loses what was not written yet, which is what came in the last flushEvery.
// A write that the disk had no room for is cut back to its last whole line. A rotation
// renames from the oldest file on: interrupted, it leaves a gap in the numbers, which
// the next one fills.
package accesslog
