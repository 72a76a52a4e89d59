// Package resource holds every kind of document as plain data: spec, status,
// defaults, validation and the transition tables. It imports nothing but the
// standard library and does no I/O, so that every other room can stand on it.
//
// A Document is what the store keeps and the API carries: an envelope with the
// spec and status still encoded. A room that works on one kind decodes it into
// an Object (ScaleSet, Instance, …), changes that, and encodes it again.
package resource
