package app

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/droverhq/drover/internal/compute"
	"github.com/droverhq/drover/internal/resource"
)

// Options of a server. Data is required; the zero value of the rest is a default.
type Options struct {
	// Listen is the API's HOST:PORT; port 0 takes a free one. Default 127.0.0.1:7400.
	Listen string
	// Data is the data folder.
	Data string
	// Ports are for instances, UIDs are their users' as root. Compute has the defaults.
	Ports, UIDs Range
	// TLSCert and TLSKey name PEM files; without them a listener beyond loopback
	// gets a certificate of a CA made on the first start.
	TLSCert, TLSKey string
	// IMDSRate is how many metadata requests an instance may send in a second. Default 50.
	IMDSRate float64
	// IMDSLinkLocal serves the metadata at 169.254.169.254, too: as root, on Linux.
	IMDSLinkLocal bool
	// HostPaths are folders below which documents may name files.
	HostPaths []string
	// Command is the program, with arguments, that serves the hidden sub-commands
	// of the gateway and the launcher. Default: this very program.
	Command []string
	Version string
	Logger  *slog.Logger
}

func (o Options) hostPaths() resource.HostPaths {
	return resource.HostPaths{Data: o.Data, Folders: o.HostPaths}
}

// Range is a range of numbers, both ends included.
type Range = compute.Range

func (o Options) withDefaults() (Options, error) {
	if o.Data == "" {
		return o, fmt.Errorf("no data folder is given: use --data")
	}
	var err error
	if o.Data, err = filepath.Abs(o.Data); err != nil {
		return o, fmt.Errorf("data folder %s: %w", o.Data, err)
	}
	o.HostPaths = slices.Clone(o.HostPaths)
	for i, folder := range o.HostPaths {
		if o.HostPaths[i], err = filepath.Abs(folder); err != nil {
			return o, fmt.Errorf("--host-path %s: %w", folder, err)
		}
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:7400"
	}
	if o.IMDSRate == 0 {
		o.IMDSRate = 50
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
