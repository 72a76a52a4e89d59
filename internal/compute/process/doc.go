// Package process runs instances as processes of this machine.
//
// # What it promises
//
// An instance's process doesn't depend on Drover's: it outlives it, in a session
// and, as root on Linux, a control group and a user of its own. The next Drover
// finds it by what is on disk. It is never started twice and nothing that it
// started outlives it.
//
// # The start
//
// Drover takes the lock of the instance's folder, prepares its disks and starts
// a launcher, which is this binary again and inherits the lock. The launcher
// joins the instance's control group, writes its record (boot id, pid, start
// time, what is started, with a checksum) where the instance can't, syncs it,
// and becomes the program by exec, which closes the lock. There is no shim: the
// record names the program itself, as exec changes neither pid nor start time.
//
// The lock thus says that a start goes on, the record's triple says what runs.
// A process of the same pid that began at another time, or in another boot, is
// not it; one that is dead and that nobody has waited for is dead.
//
// # A crash at each point
//
//   - The folder is made: an empty folder, filled by the next start.
//   - Locked, disks being made: the lock ends with Drover; disks are put in
//     place whole or not at all, and the next start makes them.
//   - The launcher runs: it has the lock, also when Drover dies. If it had its
//     plan it goes on to become the program; the next Drover waits for the lock
//     and then finds it. If the plan was cut off it ends and the lock with it.
//   - The launcher dies before its record is in place: the old record names a
//     process that is dead. What joined the group is ended before the next start.
//   - After it: the record names a process that is dead. That counts as a crash
//     of the program, as nobody saw that it wasn't.
//   - The program runs: it is found by its record.
//   - Drover dies while it stops an instance: the record says that this is on
//     purpose; the next Drover decides anew.
//   - Drover dies while it deletes one: the process goes first, then the data
//     is set aside, then the folder goes in one step, then the control group.
//
// A record whose checksum is wrong names nobody: it is set aside and reported,
// and all of the instance's processes are ended before it is started anew.
//
// # What belongs to an instance
//
// Where control groups can be written: the members of its group. Elsewhere: the
// processes of its session, of its user if it has one of its own, those that
// carry DATA_DIR with its folder in their environment, and their children. A
// program that leaves its session and clears its environment escapes that;
// only a control group keeps it. macOS shows no environments: there only the
// session and children count.
package process
