package main

import "fmt"

// protocol is what a candidate's front speaks.
type protocol string

const (
	plain protocol = "http"
	tls   protocol = "https"
	tcp   protocol = "tcp"
)

var protocols = []protocol{plain, tls, tcp}

// level is what is asked of a candidate.
type level struct {
	Name     string
	Protocol protocol
	Requests int
	Rate     int  // 0: as fast as they are answered
	Bytes    int  // of an answer
	Fresh    bool // each request has a connection of its own
}

func levels(o options) []level {
	return []level{
		{"As fast as it goes", plain, o.requests, 0, 128, false},
		{fmt.Sprintf("%d requests a second", o.rate), plain, 5 * o.rate, o.rate, 128, false},
		{"As fast as it goes, 1 KiB", plain, o.requests / 2, 0, 1 << 10, false},
		{"As fast as it goes, 64 KiB", plain, o.requests / 5, 0, 64 << 10, false},
		{"As fast as it goes, a connection for each request", plain, o.requests / 5, 0, 128, true},
		{"TLS, as fast as it goes", tls, o.requests / 2, 0, 128, false},
		{"TLS, as fast as it goes, 64 KiB", tls, o.requests / 10, 0, 64 << 10, false},
		{"TLS, a connection and a full handshake for each request", tls, o.requests / 20, 0, 128, true},
		{"tcp, as fast as it goes", tcp, o.requests, 0, 128, false},
		{"tcp, as fast as it goes, 64 KiB", tcp, o.requests / 5, 0, 64 << 10, false},
		{"tcp, a connection for each request", tcp, o.requests / 5, 0, 128, true},
	}
}
