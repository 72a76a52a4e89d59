// Package socket reads TCP connections into buffers that are lent to them.
//
// A Conn holds a buffer only from the moment at which bytes are there until they
// have been used: ten thousand connections that wait for something hold none. That
// costs no system call more than a read into a buffer of one's own does.
//
// A Conn may have TLS beneath it. Then all of it is as without, but that what has come
// is a whole record before it can be read: a Conn that waits may hold the beginning
// of one. TCP is for deadlines then, and for nothing that is read or written.
//
// One goroutine may read a Conn; others may write with Interject, set deadlines and
// Peek meanwhile.
package socket
