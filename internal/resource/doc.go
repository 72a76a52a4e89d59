// Package resource holds every kind of document as plain data: spec, status,
// defaults, validation and the transition tables. It imports nothing but the
// standard library and does no I/O, so that every other room can stand on it.
//
// A Document is what the store keeps and the API carries: an envelope with the
// spec and status still encoded. A room that works on one kind decodes it into
// an Object (ScaleSet, Instance, …), changes that, and encodes it again.
//
// # Two ways in
//
// Decode reads what a user wrote. It is strict: an unknown field, a double, a
// wrong type or a value out of range refuses the document, and all that is wrong
// is told at once, each with a JSON pointer and what to write instead. What a
// later version brings (later.go) is refused as not yet supported and never
// ignored. What comes out carries every default; a zero, false or empty value
// that was written is kept, and null counts as not written.
//
// From reads what the store holds. It is lenient: that was validated before, and
// a newer Drover may have added fields.
//
// # What never changes
//
// Model.Key, the numbering of latency buckets and the names of codes and phases
// are stored or seen by scripts; tests pin them.
//
// # States
//
// A rollout's phases and the steps between them are the table in transition.go;
// every write is checked against it. Everything here is a pure function of its
// arguments, so a crash loses nothing of it.
package resource
