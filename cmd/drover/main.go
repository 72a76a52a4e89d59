// Command drover delivers new versions of software to fleets without losing a request.
package main

import (
	"context"
	"os"

	"github.com/droverhq/drover/internal/app"
	"github.com/droverhq/drover/internal/cli"
	"github.com/droverhq/drover/internal/demo"
)

func main() {
	os.Exit(cli.Main(cli.Local{
		NewServer: newServer,
		Down:      down,
		Restore:   app.Restore,
		Demo:      demo.Command,
		Hidden:    app.Hidden(cli.Version()),
	}))
}

func newServer(o cli.UpOptions) (cli.Server, error) {
	a, err := app.New(app.Options{
		Listen: o.Listen, Data: o.Data, HostPaths: o.HostPaths,
		Ports: app.Range{First: o.PortLow, Last: o.PortHigh}, UIDs: app.Range{First: o.UIDLow, Last: o.UIDHigh},
		IMDSRate: o.IMDSRate, IMDSLinkLocal: o.IMDSLinkLocal,
		TLSCert: o.TLSCert, TLSKey: o.TLSKey, Version: o.Version, Logger: o.Logger,
	})
	return server{a}, err
}

// server is the app as the command line knows it.
type server struct{ *app.App }

func (s server) Running(ctx context.Context) (cli.Running, error) {
	r, err := s.App.Running(ctx)
	return cli.Running(r), err
}

func down(ctx context.Context, data string) (cli.Running, error) {
	r, err := app.Down(ctx, app.Options{Data: data})
	return cli.Running(r), err
}
