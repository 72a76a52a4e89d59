package app

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Options of a server. Data is required; the zero value of the rest is a default.
type Options struct {
	// Listen is the API's HOST:PORT; port 0 takes a free one. Default 127.0.0.1:7400.
	Listen string
	// Data is the data folder.
	Data string
	// Ports are for instances, default 20000-29999; UIDs are their users' as root, default 2000000-2065535.
	Ports, UIDs Range
	// TLSCert and TLSKey name PEM files; without them a listener beyond loopback
	// gets a certificate of a CA made on the first start.
	TLSCert, TLSKey string
	// HostPaths are folders below which documents may name files.
	HostPaths []string
	// Command is the program, with arguments, that serves the hidden sub-commands
	// of the gateway and the launcher. Default: this very program.
	Command []string
	Version string
	Logger  *slog.Logger
}

// Range is a range of numbers, both ends included. Its text is LOW-HIGH.
type Range struct{ Low, High int }

// ParseRange reads LOW-HIGH within 1…most.
func ParseRange(s string, most int) (Range, error) {
	low, high, found := strings.Cut(s, "-")
	l, err1 := strconv.Atoi(low)
	h, err2 := strconv.Atoi(high)
	if !found || err1 != nil || err2 != nil || l < 1 || h < l || h > most {
		return Range{}, fmt.Errorf("%q is not a range: write LOW-HIGH with 1 ≤ LOW ≤ HIGH ≤ %d", s, most)
	}
	return Range{l, h}, nil
}

func (r Range) String() string { return fmt.Sprintf("%d-%d", r.Low, r.High) }

func (o Options) withDefaults() (Options, error) {
	if o.Data == "" {
		return o, fmt.Errorf("no data folder is given: use --data")
	}
	var err error
	if o.Data, err = filepath.Abs(o.Data); err != nil {
		return o, fmt.Errorf("data folder %s: %w", o.Data, err)
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:7400"
	}
	if o.Ports == (Range{}) {
		o.Ports = Range{20000, 29999}
	}
	if o.UIDs == (Range{}) {
		o.UIDs = Range{2000000, 2065535}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if (o.TLSCert == "") != (o.TLSKey == "") {
		return o, fmt.Errorf("--tls-cert and --tls-key go together")
	}
	if _, _, err := net.SplitHostPort(o.Listen); err != nil {
		return o, fmt.Errorf("--listen %q is not HOST:PORT: %w", o.Listen, err)
	}
	if len(o.Command) == 0 {
		exe, err := os.Executable()
		if err != nil {
			return o, fmt.Errorf("find this program's own file: %w", err)
		}
		o.Command = []string{exe}
	}
	return o, nil
}
