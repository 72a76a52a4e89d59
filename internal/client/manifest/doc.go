// Package manifest reads the documents that a user wrote: YAML or JSON, many to
// a file, from files, folders and standard input.
//
// It promises:
//   - What is read is what was written. A value below env, and a label's or
//     annotation's, keeps its text: 1.10, yes, 0x1F and null stay just that.
//     Elsewhere YAML 1.2 decides; what programs disagree on (010) is refused.
//   - Every problem names its file and line, and all of them are told at once.
//     A JSON pointer in the server's answer is turned back into file and line
//     (Locate); when what it points to was not written, into the nearest thing
//     around it that was.
//   - Hostile files cost little: size, nesting, the number of tokens and what
//     aliases grow to are bounded before anything is done with them.
//
// What a document may say is not decided here but by resource.Decode on the
// server: an older command line must not refuse what a newer server knows.
//
// Nothing is written; a crash loses nothing.
package manifest
