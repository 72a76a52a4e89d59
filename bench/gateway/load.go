package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// seen is what the load generator reports.
type seen struct{ Took, P50, P99 time.Duration }

// load sends a number of requests over kept connections, at a rate, or as fast as
// they are answered when that is 0. One answer that is not the backend's ends it
// with an error.
func load(args []string) error {
	address := args[0]
	connections, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	requests, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	rate, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	d := &driver{address: address}
	d.left.Store(requests)
	if rate > 0 {
		d.gap = time.Duration(connections) * time.Second / time.Duration(rate)
	}
	times := make([][]time.Duration, connections)
	errs := make([]error, connections)
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range connections {
		wg.Go(func() { times[i], errs[i] = d.drive(d.gap * time.Duration(i) / time.Duration(connections)) })
	}
	wg.Wait()
	took := time.Since(begin)
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	all := slices.Concat(times...)
	slices.Sort(all)
	return json.NewEncoder(os.Stdout).Encode(seen{Took: took, P50: all[len(all)/2], P99: all[len(all)*99/100]})
}

// driver is what the connections have in common.
type driver struct {
	address string
	left    atomic.Int64
	gap     time.Duration // between a connection's requests; 0: none
}

// drive sends one request after the other on one connection. Times count from
// when a request was due, so that a late one is seen as slow.
func (d *driver) drive(delay time.Duration) ([]time.Duration, error) {
	c, err := net.Dial("tcp", d.address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	request := []byte("GET /hello?name=world HTTP/1.1\r\nHost: " + d.address +
		"\r\nUser-Agent: bench\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n\r\n")
	r := bufio.NewReader(c)
	var times []time.Duration
	due := time.Now().Add(delay)
	for d.left.Add(-1) >= 0 {
		if d.gap == 0 {
			due = time.Now()
		}
		time.Sleep(time.Until(due))
		if err := ask(c, r, request); err != nil {
			return nil, err
		}
		times = append(times, time.Since(due))
		due = due.Add(d.gap)
	}
	return times, nil
}

// ask sends a request and reads the answer.
func ask(c net.Conn, r *bufio.Reader, request []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK || n != bodyBytes {
		return fmt.Errorf("answered with %s and %d bytes", answer.Status, n)
	}
	return nil
}
