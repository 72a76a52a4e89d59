package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
)

// downed is what a down has stopped, for programs.
type downed struct {
	Instances []string `json:"instances"`
	Gateway   bool     `json:"gateway"`
	Server    bool     `json:"server"`
}

func (c *cli) downCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop the server, its gateway and all instances",
		Long: `Stop all instances, the gateway and the server. Documents and data stay; the next "up"
starts the instances again. It works without a running server, too.`,
		Example: "  drover down\n  drover down --data /srv/drover",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.down(cmd.Context())
		},
	}
	return c.connects(c.formats(cmd))
}

func (c *cli) down(ctx context.Context) error {
	if c.conn.server != "" || c.Getenv("DROVER_SERVER") != "" {
		return c.downServer(ctx, client.Options{}, func(context.Context) error { return nil })
	}
	// Look once: a data folder without a server is nothing to wait for.
	err := c.downServer(ctx, client.Options{ConnectTimeout: 100 * time.Millisecond}, c.folderFree)
	if !resource.IsCode(err, resource.CodeUnavailable) {
		return err
	}
	stopped, err := c.local.Down(ctx, c.dataDir())
	if resource.IsCode(err, resource.CodeInUse) {
		return c.downServer(ctx, client.Options{}, c.folderFree) // a server that is just starting holds the folder
	}
	if err != nil {
		return err
	}
	if len(stopped.Instances) == 0 && !stopped.Gateway {
		return c.tell(downed{Instances: []string{}}, "Nothing is running from %s.", c.dataDir())
	}
	return c.tell(downed{Instances: append([]string{}, stopped.Instances...), Gateway: stopped.Gateway}, "Stopped: %s.", stopped)
}

// serverEnd bounds how long a server may take to end when all that it ran has stopped.
const serverEnd = 30 * time.Second

// folderFree returns when the server has let go of the data folder: whoever reads
// that it is stopped may start the next, restore a backup or remove the folder.
func (c *cli) folderFree(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, serverEnd)
	defer cancel()
	for {
		_, err := c.local.Down(ctx, c.dataDir())
		if !resource.IsCode(err, resource.CodeInUse) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("all is stopped, but the server has not ended: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// downServer asks a running server, waits until it has gone, and says what there was to stop.
func (c *cli) downServer(ctx context.Context, o client.Options, gone func(context.Context) error) error {
	cl, err := c.clientWith(o)
	if err != nil {
		return err
	}
	defer cl.Close()
	list, err := cl.List(ctx, resource.KindInstance, client.Filter{})
	if err != nil {
		return err
	}
	names := make([]string, len(list.Items))
	for i, d := range list.Items {
		names[i] = d.Name
	}
	if err := cl.Down(ctx); err != nil {
		return err
	}
	if err := gone(ctx); err != nil {
		return err
	}
	return c.tell(downed{names, true, true}, "Stopped: %s, the gateway and the server.", Running{Instances: names})
}

// firstOf joins at most n of the names.
func firstOf(names []string, n int) string {
	if len(names) <= n {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:n], ", "), len(names)-n)
}
