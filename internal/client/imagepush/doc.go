// Package imagepush turns folders into an OCI image and pushes it, which is what
// `drover image push` does. No container engine is needed.
//
// The same folders give the same digest on every machine: entries are sorted,
// belong to 0:0, have one fixed time, the mode 0755 (directories, executables)
// or 0644, and the compressor is a pinned dependency, not the toolchain's.
// Symbolic links are kept as they are; one that leads out of its folder is
// refused, and so is whatever is neither a file, a directory nor a link.
//
// A layer is never held in memory or in a temporary file: it is read once for
// its digest and again for the upload, which is skipped when the server has it
// already. A folder that changes between the two is an error, never a wrong
// image. An interrupted push leaves the server without the version; pushing
// again goes on with the layers that arrived.
package imagepush
