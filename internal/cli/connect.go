package cli

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/internal/client"
)

// connection are the flags that say which server a command talks to.
type connection struct {
	server, data, tokenFile, caFile, caPin string
}

// connects gives a command, and those below it, the flags of a client.
func (c *cli) connects(cmd *cobra.Command) *cobra.Command {
	f := cmd.PersistentFlags()
	f.StringVar(&c.conn.server, "server", "", "`URL` of the server, https://HOST:PORT (DROVER_SERVER; else the socket in the data folder)")
	f.StringVar(&c.conn.data, "data", "", "data `folder` of a server on this machine (DROVER_DATA; else "+client.DefaultData()+")")
	f.StringVar(&c.conn.tokenFile, "token-file", "", "`file` with the token (else DROVER_TOKEN; else, through the socket only, the admin token)")
	f.StringVar(&c.conn.caFile, "ca-file", "", "`file` with the CA certificate of the server (DROVER_CA_FILE)")
	f.StringVar(&c.conn.caPin, "ca-pin", "", "`sha256:HEX` fingerprint of the server's CA certificate, instead of a file (DROVER_CA_PIN)")
	return cmd
}

// client makes the client that the flags and the environment describe.
func (c *cli) client() (*client.Client, error) {
	return c.clientWith(client.Options{})
}

// clientWith fills in what o leaves open.
func (c *cli) clientWith(o client.Options) (*client.Client, error) {
	o.Server = cmp.Or(c.conn.server, c.Getenv("DROVER_SERVER"))
	o.Data = c.dataDir()
	o.TokenFile = c.conn.tokenFile
	if o.TokenFile == "" {
		o.Token = c.Getenv("DROVER_TOKEN")
	}
	o.CAFile, o.Pin = c.conn.caFile, c.conn.caPin
	if o.CAFile == "" && o.Pin == "" { // a flag outranks the environment as a whole
		o.CAFile, o.Pin = c.Getenv("DROVER_CA_FILE"), c.Getenv("DROVER_CA_PIN")
	}
	if _, ok := terminal(c.Stderr); ok {
		o.Waiting = func(server string) { fmt.Fprintf(c.Stderr, "waiting for the server at %s…\n", server) }
	}
	o.UserAgent = "drover/" + Version()
	cl, err := client.New(o)
	if err != nil {
		return nil, usageError{err}
	}
	return cl, nil
}

// dataDir is --data, DROVER_DATA or the default.
func (c *cli) dataDir() string {
	return cmp.Or(c.conn.data, c.Getenv("DROVER_DATA"), client.DefaultData())
}

// run makes a cobra function of one that needs a client and arguments.
func (c *cli) run(fn func(ctx context.Context, cl *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		cl, err := c.client()
		if err != nil {
			return err
		}
		defer cl.Close()
		return fn(cmd.Context(), cl, args)
	}
}
