package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/client/imagepush"
	"github.com/droverhq/drover/internal/resource"
)

func (c *cli) imageCommand() *cobra.Command {
	return c.connects(c.formats(group("image", "Put programs into the gallery, and see what is there", `  drover image push hello:1.0.0 ./hello --entrypoint "./server"
  drover image list hello`,
		c.imagePushCommand(), c.imageListCommand())))
}

type pushOptions struct {
	entrypoint, cmd, workdir, platform string
	env, labels                        []string
}

func (c *cli) imagePushCommand() *cobra.Command {
	var o pushOptions
	cmd := &cobra.Command{
		Use:   "push NAME:VERSION FOLDER",
		Short: "Push a folder as an image version; no container engine is needed",
		Long: `Make an image of a folder and push it. The same folder gives the same digest on every
machine. Other content for a version that exists is refused. The digest is printed on
standard output, with -o json as {"image":"NAME:VERSION","digest":"sha256:…"}.`,
		Example: `  drover image push hello:1.0.0 ./hello --entrypoint "./server"
  drover image push shop/web:2.1.0 ./build --entrypoint "python3 app.py" --env MODE=fast`,
		Args: cobra.ExactArgs(2),
		RunE: c.run(func(ctx context.Context, cl *client.Client, args []string) error {
			return c.push(ctx, cl, args[0], args[1], o)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&o.entrypoint, "entrypoint", "", "`command` to run, split into words as a shell would (required)")
	f.StringVar(&o.cmd, "cmd", "", "`arguments` after it, which a set's command does not keep")
	f.StringArrayVar(&o.env, "env", nil, "`KEY=VALUE` in the program's environment (repeatable)")
	f.StringVar(&o.workdir, "workdir", "", "working `directory`, inside the image")
	f.StringArrayVar(&o.labels, "label", nil, "`KEY=VALUE` label of the image (repeatable)")
	f.StringVar(&o.platform, "platform", "", "`OS/ARCH` that the programs are built for (linux/amd64 unless told)")
	return cmd
}

func (c *cli) push(ctx context.Context, cl *client.Client, ref, folder string, o pushOptions) error {
	if _, _, ok := resource.SplitImageVersionName(ref); !ok {
		return usagef("%q: want NAME:Major.Minor.Patch, for example hello:1.0.0", ref)
	}
	build, err := o.build(folder)
	if err != nil {
		return err
	}
	img, err := imagepush.Build(ctx, build)
	if err != nil {
		return err
	}
	digest, err := img.Digest()
	if err != nil {
		return fmt.Errorf("compute the digest of %s: %w", ref, err)
	}
	report, stop := c.pushProgress(ref)
	err = cl.PushImage(ctx, ref, img, report)
	stop()
	if err != nil {
		return err
	}
	return c.tell(resource.Reference{Image: ref, Digest: digest.String()}, "%s %s", ref, digest)
}

func (o pushOptions) build(folder string) (imagepush.Options, error) {
	b := imagepush.Options{
		Layers: []imagepush.Folder{{Path: folder}}, Env: o.env, WorkingDir: o.workdir, Platform: o.platform,
	}
	if o.entrypoint == "" {
		return b, usagef("--entrypoint is needed: the command to run, for example --entrypoint ./server")
	}
	var err error
	if b.Labels, err = parseLabels(o.labels); err != nil {
		return b, err
	}
	if b.Entrypoint, err = imagepush.SplitCommand(o.entrypoint); err != nil {
		return b, usagef("--entrypoint: %v", err)
	}
	if o.cmd != "" {
		if b.Cmd, err = imagepush.SplitCommand(o.cmd); err != nil {
			return b, usagef("--cmd: %v", err)
		}
	}
	return b, nil
}

// pushProgress shows the bytes that the server has, when there is a terminal to show it on.
func (c *cli) pushProgress(ref string) (report func(done, total int64), stop func()) {
	width, ok := terminal(c.Stderr)
	if !ok {
		return nil, func() {}
	}
	progress := mpb.New(mpb.WithOutput(c.Stderr), mpb.WithWidth(width))
	bar := progress.New(0, mpb.BarStyle(), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(ref+" ")),
		mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f"), decor.AverageSpeed(decor.SizeB1024(0), "  % .1f")))
	report = func(done, total int64) {
		bar.SetTotal(total, false)
		bar.SetCurrent(done)
	}
	return report, func() {
		bar.Abort(true)
		progress.Wait()
	}
}

func (c *cli) imageListCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "list [NAME]",
		Short:             "List image versions, the newest first",
		Example:           "  drover image list\n  drover image list hello -o json",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: c.completeNames(resource.KindImage),
		RunE: c.run(func(ctx context.Context, cl *client.Client, args []string) error {
			return c.listVersions(ctx, cl, strings.Join(args, ""))
		}),
	}
}

func (c *cli) listVersions(ctx context.Context, cl *client.Client, image string) error {
	list, err := cl.List(ctx, resource.KindImageVersion, client.Filter{Set: image})
	if err != nil {
		return err
	}
	if image != "" && len(list.Items) == 0 {
		if _, err := cl.Get(ctx, resource.KindImage, image); err != nil {
			return err // no such image, rather than no versions
		}
	}
	slices.SortStableFunc(list.Items, compareVersions)
	return c.printList(resource.KindImageVersion, list.Items)
}

// compareVersions orders by image, then the newest version first.
func compareVersions(a, b resource.Document) int {
	imageA, versionA, _ := resource.SplitImageVersionName(a.Name)
	imageB, versionB, _ := resource.SplitImageVersionName(b.Name)
	if imageA != imageB {
		return strings.Compare(imageA, imageB)
	}
	return versionB.Compare(versionA)
}
