// Package socket reads TCP connections into buffers that are lent to them.
//
// A Conn holds a buffer only from the moment at which bytes are there until they
// have been used: ten thousand connections that wait for something hold none. That
// costs no system call more than a read into a buffer of one's own does.
//
// One goroutine may read a Conn; others may write to TCP, set deadlines and Peek
// meanwhile.
package socket
