// Package logfile keeps the output of workloads.
//
// A workload's stdout and stderr are one file, output.log, opened for append by
// the launcher. The workload holds that descriptor for its whole life, whoever
// restarts around it, so rotation can neither rename the file nor ask anyone to
// open it again. Instead the head is copied to output.log.1 (the older ones
// move up to .2 … .5) and then cut off the front while the workload writes on.
//
// # What rotation promises
//
// Where the file system can take a range out of a file (FALLOC_FL_COLLAPSE_RANGE:
// ext4 and xfs) no byte is lost, doubled or moved: the files from the highest
// number down to output.log, one after the other, are what the workload wrote.
// Cuts are at block boundaries, so a file may end in mid-line and the next one
// begin there; the Keeper's readers join such lines. Elsewhere (tmpfs, btrfs,
// zfs, macOS …) the file is copied and then truncated: what is written in the
// instant between the last read and the truncation is lost.
//
// A file is rotated within Interval of having grown beyond MaxBytes, one log after
// the other. One that grew for longer (no Drover ran) is rotated in pieces of
// MaxBytes. What would be gone after Keep of these is cut off without a copy, as
// no disk is as fast as a workload that floods its output: such a log is looked at
// twenty times as often and has the size of Keep+1 pieces, and of what is written
// between two looks.
//
// # The journal, and what a crash does
//
// rotation.json says how far a rotation is:
//
//	idle  nothing is going on; output.log.new, if there, is half a copy and goes
//	mark  output.log.new is whole and synced; a mark is being written over the
//	      head that has been copied
//	cut   the mark is on disk; while the file still begins with it, the head
//	      has not been cut off
//
// With drop there is no copy: the head goes, and the numbered files before it.
//
// Whoever opens the log next goes on from there, so a crash at any point
// neither loses nor doubles a byte. The mark is what makes "cut off or not?"
// answerable: content is no proof, workloads repeat themselves. (A power cut in
// the middle of the collapse itself is for the file system's journal to mend.)
//
// The journal also counts what was cut off, so that the position of a byte stays
// the same over rotations and restarts: a reader that was cut off goes on where it
// was (Bookmark). A journal that was lost begins another life of positions.
//
// One process works on a log at a time: the Keeper, in the control process.
package logfile
