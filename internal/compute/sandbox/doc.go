// Package sandbox turns the process that calls it into the workload: it shuts
// away what the workload must not see, gives up every privilege and calls exec.
// No process stays behind and the pid does not change, so an identity recorded
// before Exec stays true for the workload's whole life.
//
// It takes two steps, because a Go program has several threads by the time it
// runs and the kernel lets only a process with one thread enter a new user
// namespace. The starter passes Attr(root) to the start of the launcher, which
// then lives in namespaces of its own from its first instruction; the launcher
// takes its lock, writes its record and calls Exec.
//
// # What each root gives
//
// root: host. The host's file system, os/ as working directory. As root: the
// instance's own user and group id, no supplementary group.
//
// root: image (Linux). os/ is the root, read-only, by pivot_root in a private
// mount namespace; data/ at its own absolute path, a private /tmp, /proc, a
// /dev with null, zero, full, random, urandom, tty, pts and shm, the host's
// resolv.conf and hosts (as files: one that the host replaces is seen from the
// next start on). Nothing else of the host can be named. As root /proc
// shows the workload's own processes alone. As an ordinary user a user
// namespace maps that user to itself; it owns the mounts and is left without
// a capability by exec.
//
// Both: no-new-privileges, no capability in any set, no descriptor but 0, 1
// and 2, default signal dispositions and an empty signal mask, umask 022, a
// session keyring of its own, an oom score that is not better than the
// default, the limit on processes that was asked for. The network namespace is
// the host's (the workload listens on 127.0.0.1:PORT), and so is the pid
// namespace: the recorded pid is the pid.
//
// # As an ordinary user
//
// All workloads and Drover itself share one user id. A workload can then signal
// its siblings and, with root: host, read and change what the user can. That is
// what the warning at start says; only root can keep workloads apart.
//
// # A crash
//
// Nothing here outlives the process: mounts belong to its namespace and go with
// its last process; mount points made in os/ are empty and found again.
package sandbox
