// Package sqlite keeps the store's documents and bookings in one SQLite file.
//
// It knows rows, files and checksums; what a document means is the store's
// business. A File is used by one goroutine at a time and holds the only
// connection: it is opened in WAL mode with synchronous=FULL, so that a Commit
// that returned nil is on disk, and with an exclusive lock, so that no other
// process or connection can come between.
//
// Whole files (the first one, snapshots, backups) are made by Create beside
// their place, synced, read back and compared, and only then renamed into it: a crash
// leaves a *.tmp that nobody reads, never half a database under its own name.
package sqlite
