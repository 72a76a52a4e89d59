// Package store keeps documents with revisions, where all of Drover meets.
//
// # What it promises
//
//   - An Update that returned nil is on disk. Many share one commit, and so one
//     fsync; each is whole or not at all, whatever the others do.
//   - Revisions only grow, and none is ever given out twice, not even after an
//     older snapshot had to be served.
//   - A Watch shows every change after its revision, in order, once, and only what
//     is committed; or it says ErrTooOld, and then one lists again. A watch that
//     is slow holds nobody up.
//   - It opens, whatever became of its files: what is damaged is set aside, the
//     best that is left is served, and Recovery says what may be missing.
//   - A full disk is noticed before work is accepted, and leaves room for what
//     must still be written (see Essential).
//
// # How it works
//
// Memory is the truth for reads, SQLite for durability. All documents are in
// memory, sorted by name within their kind and within their owner, so that reads
// run no SQL. One goroutine, the writer, changes them: it takes all updates that
// wait, runs them one after the other against memory with a layer of uncommitted
// writes on top, writes what came of them in one SQLite transaction, then makes
// it part of memory and of the ring of changes under one lock, and only then
// answers. An update that fails drops its own layer and nothing else, so no
// savepoints are needed, and a commit that failed can be tried again without
// running anybody's function twice.
//
// A document is never changed once others can see it: readers take pointers under
// the lock and copy outside of it.
//
// # The folder
//
//	documents.db, -wal    the database; each row has a checksum, and the head a sum of them all
//	witness               up to where writes were acknowledged
//	snapshots/            the last three verified copies
//	damaged/              what was set aside
//	recovery.json         the report of that, until it is acknowledged
//	reserve               blocks that are given back when the disk is full
//	lock                  held by the process that uses the folder
//
// # What a crash does
//
// Before SQLite's commit record is synced: the batch is gone, nobody was answered.
// After it, before the answer: the batch is there, though nobody knows. Revisions
// that were decided but not committed were seen by nobody and are given out again.
//
// While the database is made for the first time, or a snapshot or backup: a *.tmp
// is left, which the next attempt removes. A file under its own name is whole and
// was read back before it got it.
//
// While a damaged database is replaced: the witness first learns the highest
// revision that the damaged file still shows, then the WAL and the file are moved
// away, then the report is written, then the new database is put in place. Each
// of these steps is found done, or is done again, by the next start.
//
// While the disk is full: SQLite rolls the transaction back. The database is then
// closed, opened and asked whether the batch is in it, so that no answer depends
// on what a half-failed commit left behind. An I/O error ends in the same way; a
// batch that is found after its commit reported an error is published, and its
// callers get the error: it is there, but perhaps not on the disk below.
//
// While it is in use, the file turns out to be damaged: it is set aside and made
// again from memory, which holds all that was ever acknowledged.
package store
