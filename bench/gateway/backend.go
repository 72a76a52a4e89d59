package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// sizes are those of bodies that a backend can be asked for: GET /128, /1024, /65536.
var sizes = []int{128, 1 << 10, 64 << 10}

// backend answers every request with the same bytes of the size that is asked
// for. It does next to nothing itself, so that what is left of the machine is the
// proxy's.
func backend(address string) error {
	answers := map[string][]byte{}
	for _, n := range sizes {
		answers[strconv.Itoa(n)] = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"+
			"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n%s", n, strings.Repeat("x", n))
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go serve(c, answers)
	}
}

// serve answers requests without a body until the connection ends.
func serve(c net.Conn, answers map[string][]byte) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		first, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		_, path, _ := bytes.Cut(first, []byte(" /"))
		size, _, _ := bytes.Cut(path, []byte("?"))
		answer, ok := answers[string(size)]
		if !ok {
			answer = answers["128"] // a probe
		}
		for len(first) != 2 { // until the empty line after the headers
			if first, err = r.ReadSlice('\n'); err != nil {
				return
			}
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}
