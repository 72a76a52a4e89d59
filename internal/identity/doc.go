// Package identity says who calls and what they may do, and keeps the secrets
// that Drover itself holds.
//
// Tokens are documents of kind Token. A secret has 256 random bits behind a
// recognisable prefix; it is printed once and kept only as its SHA-256, which is
// compared in constant time. A revoked or expired token is refused from the
// moment its write is acknowledged: nothing about a token is cached but where
// its document is found. What a caller may do is the pure decision Allowed.
//
// The admin token is the Owner that the command line on this machine uses. It
// lies in a file of mode 0600; a file that is missing, torn, readable to others
// or not the one the store knows is written anew, the old secret stops working,
// and the log says so. A crash between the two writes leaves a file that the
// store does not know: the next start writes it anew.
//
// Keys are small secret files, stored twice with a checksum. A damaged or missing
// copy is repaired from the other; when both are damaged they are set aside and
// the caller makes a new key, and the log says so. A crash between the writes of
// the two copies leaves the newer one in the first, which wins.
//
// What opens the metadata endpoint to each instance is derived from such a key, and
// not stored. The TLS certificate authority is another. Server certificates are made from
// it in memory, at each start and again before they end, so that no certificate
// can expire under a running server and none can be torn on disk.
package identity
