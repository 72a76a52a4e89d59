package main

import (
	"bufio"
	cryptotls "crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// seen is what the load generator reports.
type seen struct{ Took, P50, P99 time.Duration }

// load sends requests at a level. One answer that is not the backend's ends it
// with an error.
func load(args []string) error {
	d := &driver{address: args[0]}
	if err := json.Unmarshal([]byte(args[1]), &d.level); err != nil {
		return err
	}
	if d.Protocol == tls {
		trusted, err := os.ReadFile(args[2])
		if err != nil {
			return err
		}
		d.secure = &cryptotls.Config{RootCAs: x509.NewCertPool()}
		d.secure.RootCAs.AppendCertsFromPEM(trusted)
	}
	d.left.Store(int64(d.Requests))
	if d.Rate > 0 {
		d.gap = connections * time.Second / time.Duration(d.Rate)
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
	level
	address string
	left    atomic.Int64
	gap     time.Duration     // between a connection's requests; 0: none
	secure  *cryptotls.Config // nil: without TLS
}

// drive sends one request after the other on one connection, or each on its own.
// Times count from when a request was due, so that a late one is seen as slow.
func (d *driver) drive(delay time.Duration) (times []time.Duration, err error) {
	t := &talk{driver: d, request: fmt.Appendf(nil, "GET /%d?name=world HTTP/1.1\r\nHost: %s\r\n"+
		"User-Agent: bench\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n\r\n", d.Bytes, d.address)}
	defer t.close()
	due := time.Now().Add(delay)
	for d.left.Add(-1) >= 0 {
		if d.gap == 0 {
			due = time.Now()
		}
		time.Sleep(time.Until(due))
		if err := t.ask(); err != nil {
			return nil, err
		}
		times = append(times, time.Since(due))
		due = due.Add(d.gap)
	}
	return times, nil
}

// talk is what one of those who send at the same time has.
type talk struct {
	*driver
	request []byte
	conn    net.Conn // nil: to be opened
	reader  *bufio.Reader
}

func (t *talk) close() {
	if t.conn != nil {
		t.conn.Close()
		t.conn = nil
	}
}

// dial connects. Handshakes are full ones: there is no cache of sessions.
func (d *driver) dial() (net.Conn, error) {
	if d.secure != nil {
		return cryptotls.Dial("tcp", d.address, d.secure)
	}
	return net.Dial("tcp", d.address)
}

// ask sends a request and reads the answer.
func (t *talk) ask() (err error) {
	if t.conn == nil {
		if t.conn, err = t.dial(); err != nil {
			return err
		}
		t.reader = bufio.NewReader(t.conn)
	}
	if _, err := t.conn.Write(t.request); err != nil {
		return err
	}
	answer, err := http.ReadResponse(t.reader, nil)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK || n != int64(t.Bytes) {
		return fmt.Errorf("answered with %s and %d bytes", answer.Status, n)
	}
	if t.Fresh {
		t.close()
	}
	return nil
}
