package main

import (
	"bufio"
	"net"
	"strings"
)

const bodyBytes = 128

// backend answers every request with the same 128 bytes. It does next to nothing
// itself, so that what is left of the machine is the proxy's.
func backend(address string) error {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 128\r\n" +
		"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n" + strings.Repeat("x", bodyBytes))
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go serve(c, answer)
	}
}

// serve answers requests without a body until the connection ends.
func serve(c net.Conn, answer []byte) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) == 2 { // the empty line after the headers
				break
			}
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}
