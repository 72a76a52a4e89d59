package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/droverhq/drover/internal/client"
)

// backedUp and restored are the results for programs.
type (
	backedUp struct {
		File  string `json:"file"`
		Bytes int64  `json:"bytes"`
	}
	restored struct {
		Data string `json:"data"`
	}
)

func (c *cli) backupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write documents, keys and gallery of the running server to a file",
		Long: `Write documents, keys and gallery of the running server to a file, mode 0600: it holds
keys. The data disks of instances are not in it. A file of that name is replaced only
once the new backup is whole and on disk.`,
		Example: "  drover backup /var/backups/drover.tar",
		Args:    cobra.ExactArgs(1),
		RunE: c.run(func(ctx context.Context, cl *client.Client, args []string) error {
			size, err := c.backup(ctx, cl, args[0])
			if err != nil {
				return fmt.Errorf("back up to %s: %w", args[0], err)
			}
			return c.tell(backedUp{args[0], size}, "%s: %s, verified", args[0], sizeText(size))
		}),
	}
	return c.connects(c.formats(cmd))
}

// backup downloads beside the target, verifies, and only then takes its name.
func (c *cli) backup(ctx context.Context, cl *client.Client, file string) (size int64, err error) {
	in, err := cl.Backup(ctx)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	dir := filepath.Dir(file)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(file)+".*.part") // made with mode 0600
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	size, err = c.copyProgress(tmp, in)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return 0, err
	}
	if err = verifyTar(ctx, tmp.Name()); err != nil {
		return 0, fmt.Errorf("the backup that came is not whole: %w", err)
	}
	if err = os.Rename(tmp.Name(), file); err != nil {
		return 0, err
	}
	// The name is on disk with its folder.
	return size, syncFolder(dir)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// copyProgress copies with a counter on a terminal: how much there is to come is not known.
func (c *cli) copyProgress(to io.Writer, from io.Reader) (int64, error) {
	width, ok := terminal(c.Stderr)
	if !ok {
		return io.Copy(to, from)
	}
	progress := mpb.New(mpb.WithOutput(c.Stderr), mpb.WithWidth(width))
	bar := progress.New(0, mpb.SpinnerStyle(), mpb.BarWidth(3), mpb.BarRemoveOnComplete(),
		mpb.AppendDecorators(decor.CurrentKibiByte("% .1f"), decor.AverageSpeed(decor.SizeB1024(0), "  % .1f")))
	n, err := io.Copy(to, bar.ProxyReader(from))
	bar.Abort(true)
	progress.Wait()
	return n, err
}

func (c *cli) restoreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Fill an empty data folder from a backup",
		Long: `Fill an empty data folder from a backup, with no server running. The next "up" brings
up what the backup describes; the data disks of instances are not in a backup.`,
		Example: "  drover restore /var/backups/drover.tar --data /srv/drover",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data := c.dataDir()
			if err := c.restore(cmd.Context(), data, args[0]); err != nil {
				return fmt.Errorf("restore %s into %s: %w", args[0], data, err)
			}
			return c.tell(restored{data}, "Restored into %s. Start it with `drover up --data %s`.", data, data)
		},
	}
	cmd.Flags().StringVar(&c.conn.data, "data", "", "data `folder` to fill (DROVER_DATA; else "+client.DefaultData()+")")
	return c.formats(cmd)
}

// restore reads the whole archive first: one that was cut off between two of its
// files would look complete, and what it lacks be missed much later.
func (c *cli) restore(ctx context.Context, data, file string) error {
	if err := verifyTar(ctx, file); err != nil {
		return fmt.Errorf("the backup is not whole: %w", err)
	}
	return c.local.Restore(ctx, data, file)
}
