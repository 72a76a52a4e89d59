package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/internal/client"
)

// stopTimeout bounds how long a server may take to end in order.
const stopTimeout = 30 * time.Second

// UpOptions are what `drover up` was told.
type UpOptions struct {
	Listen            string
	Data              string
	PortLow, PortHigh int
	UIDLow, UIDHigh   int
	TLSCert, TLSKey   string
	HostPaths         []string
	IMDSRate          float64
	IMDSLinkLocal     bool
	Version           string
	Logger            *slog.Logger
}

// Server is a server in this process.
type Server interface {
	Start(context.Context) error
	// Wait blocks until the server has ended: nil when it was told to by `drover down`.
	Wait() error
	// Stop ends the control process's part in order. Instances and gateway go on.
	Stop(context.Context) error
	// URL is where the API answers.
	URL() string
	// Running says what goes on without this process.
	Running(context.Context) (Running, error)
}

// Running is what a data folder has running outside of the control process.
type Running struct {
	Instances []string
	Gateway   bool
}

func (c *cli) upCommand() *cobra.Command {
	o := UpOptions{Version: Version()}
	logFormat := "text"
	ports, uids := numberRange{20000, 29999}, numberRange{2000000, 2065535}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the server",
		Long: `Run the server, with everything embedded, until Ctrl-C or SIGTERM. That stops only the
control process: instances and the gateway go on and are taken over by the next up.
"drover down" stops them.`,
		Example: `  drover up
  drover up --listen 0.0.0.0:7400 --data /srv/drover --log-format json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Data = c.dataDir()
			o.PortLow, o.PortHigh, o.UIDLow, o.UIDHigh = ports.low, ports.high, uids.low, uids.high
			if err := o.check(); err != nil {
				return err
			}
			var err error
			if o.Logger, err = newLogger(c.Stderr, logFormat); err != nil {
				return err
			}
			return c.up(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Listen, "listen", "127.0.0.1:7400", "`address` of the API; beyond loopback it has TLS")
	f.StringVar(&c.conn.data, "data", "", "data `folder` (DROVER_DATA; else "+client.DefaultData()+")")
	f.Var(&ports, "port-range", "ports that instances listen on")
	f.Var(&uids, "uid-range", "user ids that instances run under (as root)")
	f.StringVar(&o.TLSCert, "tls-cert", "", "`file` with the API's certificate chain")
	f.StringVar(&o.TLSKey, "tls-key", "", "`file` with its key")
	f.Float64Var(&o.IMDSRate, "imds-rate", 50, "metadata `requests` that an instance may send in a second")
	f.BoolVar(&o.IMDSLinkLocal, "imds-link-local", false, "serve the instances' metadata at 169.254.169.254, too (as root, on Linux)")
	f.StringVar(&logFormat, "log-format", logFormat, "`text` or json")
	f.StringArrayVar(&o.HostPaths, "host-path", nil, "`folder` below which documents may name files (repeatable)")
	return cmd
}

func (o *UpOptions) check() error {
	if _, _, err := net.SplitHostPort(o.Listen); err != nil {
		return usagef("--listen %q: want HOST:PORT", o.Listen)
	}
	if o.PortHigh > 65535 {
		return usagef("--port-range: there is no port %d", o.PortHigh)
	}
	if (o.TLSCert == "") != (o.TLSKey == "") {
		return usagef("--tls-cert and --tls-key belong together")
	}
	if o.IMDSRate <= 0 {
		return usagef("--imds-rate %v: want a number above 0", o.IMDSRate)
	}
	for i, path := range o.HostPaths {
		abs, err := filepath.Abs(path)
		if err != nil {
			return fmt.Errorf("--host-path %s: %w", path, err)
		}
		o.HostPaths[i] = abs
	}
	data, err := filepath.Abs(o.Data)
	if err != nil {
		return fmt.Errorf("--data %s: %w", o.Data, err)
	}
	o.Data = data
	return nil
}

// newLogger writes the server's log. Secrets are taken out by the server itself.
func newLogger(w io.Writer, format string) (*slog.Logger, error) {
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, nil)), nil
	}
	return nil, usagef("--log-format %q: want text or json", format)
}

func (c *cli) up(ctx context.Context, o UpOptions) error {
	server, err := c.local.NewServer(o)
	if err != nil {
		return err
	}
	if err := server.Start(ctx); err != nil {
		return err
	}
	c.banner(server, o.Data)
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }() // ends with the server, which is stopped below
	select {
	case err := <-ended:
		return c.endedByItself(server, o.Data, err)
	case <-ctx.Done():
	}
	// The signal ended ctx; what follows has a limit of its own.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	running, runningErr := server.Running(ctx)
	if err := server.Stop(ctx); err != nil {
		return fmt.Errorf("stop the control process: %w", err)
	}
	<-ended
	c.farewell(running, runningErr, o.Data)
	return nil
}

func (c *cli) banner(server Server, data string) {
	fmt.Fprintf(c.Stdout, `Drover %s is up.
  address      %s
  data         %s
  admin token  %s
Ctrl-C stops the control process; instances and the gateway go on until "drover down".
`, Version(), server.URL(), data, filepath.Join(data, "admin.token"))
}

// endedByItself tidies up after a server that was told to end, or whose part failed.
func (c *cli) endedByItself(server Server, data string, err error) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	running, runningErr := server.Running(ctx)
	stopErr := server.Stop(ctx)
	if err == nil {
		err = stopErr
	}
	c.farewell(running, runningErr, data)
	return err
}

// farewell says what goes on, and how to end that as well.
func (c *cli) farewell(r Running, err error, data string) {
	switch {
	case err != nil:
		fmt.Fprintf(c.Stdout, "The control process has stopped. What else runs could not be told: %s. `drover down --data %s` stops it.\n", oneLine(err.Error()), data)
	case len(r.Instances) == 0 && !r.Gateway:
		fmt.Fprintln(c.Stdout, "The control process has stopped. Nothing else is running.")
	default:
		fmt.Fprintf(c.Stdout, "The control process has stopped. Still running: %s.\n`drover up --data %s` takes over again, `drover down --data %s` stops everything.\n", r, data, data)
	}
}

// String names what runs; of many instances only the first.
func (r Running) String() string {
	text := count(len(r.Instances), "instance")
	if n := len(r.Instances); n > 0 {
		text += " (" + firstOf(r.Instances, 5) + ")"
	}
	if r.Gateway {
		text += " and the gateway"
	}
	return text
}
