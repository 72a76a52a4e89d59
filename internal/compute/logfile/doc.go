// Package logfile keeps the output of workloads: a file that the workload's own
// descriptor appends to for its whole life, and the rotated files beside it.
package logfile
