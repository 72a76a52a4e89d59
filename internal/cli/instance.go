package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
)

var (
	progressive = map[resource.Action]string{resource.ActionRestart: "restarting", resource.ActionReimage: "reimaging"}
	past        = map[resource.Action]string{resource.ActionRestart: "restarted", resource.ActionReimage: "reimaged"}
)

func (c *cli) instanceCommand() *cobra.Command {
	cmd := group("instance", "Restart, reimage or delete one instance", `  drover instance restart hello_3 --watch
  drover instance reimage hello_3
  drover instance delete hello_3`,
		c.instanceActionCommand(resource.ActionRestart, "Restart an instance", `Take an instance out of service, end its process and start it again, with the same files
and data, at the same port; it takes traffic again once it is healthy.`),
		c.instanceActionCommand(resource.ActionReimage, "Start an instance anew from its image", `Take an instance out of service, end its process and start it again from its image: what
it was changed to on disk is gone, its data folder is kept, and so are name and port. With
reimageNotification in its set it is told first.`),
		c.instanceDeleteCommand())
	cmd.Long = `Restart, reimage or delete one instance. Nothing is sent to it any more before its process
is ended. With -o json the result is the instance's document; with --watch it is printed
at the end, on one line.`
	return c.connects(c.formats(cmd))
}

func (c *cli) instanceActionCommand(action resource.Action, short, long string) *cobra.Command {
	var watch bool
	word := strings.ToLower(string(action))
	cmd := &cobra.Command{
		Use:   word + " INSTANCE",
		Short: short,
		Long: long + `
It returns once that is accepted; with --watch it waits for the end and exits 1 unless the
instance is healthy then.`,
		Example:           "  drover instance " + word + " hello_3 --watch",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completeNames(resource.KindInstance),
		RunE: c.run(func(ctx context.Context, cl *client.Client, args []string) error {
			in, err := cl.Operate(ctx, args[0], action)
			if err != nil {
				return err
			}
			return c.operates(ctx, cl, in, action, watch)
		}),
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show the progress and wait for the end")
	return cmd
}

func (c *cli) instanceDeleteCommand() *cobra.Command {
	o := deleteOptions{timeout: duration(30 * time.Minute)}
	cmd := &cobra.Command{
		Use:   "delete INSTANCE",
		Short: "Delete an instance, which makes its set one smaller",
		Long: `Take an instance out of service and delete it, and return when it is gone. Its scale set's
capacity becomes one less, so that no other takes its place. With terminateNotification in
its set it is told first. With -o json the result is {"kind","name","deleted"}.`,
		Example:           "  drover instance delete hello_3",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completeNames(resource.KindInstance),
		RunE: c.run(func(ctx context.Context, cl *client.Client, args []string) error {
			return c.delete(ctx, cl, o, []string{resource.KindInstance, args[0]})
		}),
	}
	o.waits(cmd)
	return cmd
}

// operates says what was begun and, if asked to, waits for its end.
func (c *cli) operates(ctx context.Context, cl *client.Client, in resource.Instance, action resource.Action, watch bool) error {
	if op := in.Status.Operation; op != nil {
		for _, w := range op.Warnings {
			fmt.Fprintf(c.notes(), "warning: %s\n", oneLine(w))
		}
	}
	if !watch || c.format == formatTable {
		if err := c.tell(in, "instance/%s is to be %s: %s", in.Name, past[action], operationText(in.Status)); err != nil {
			return err
		}
	}
	if !watch {
		return nil
	}
	return c.watchOperation(ctx, cl, in, action)
}

// watchOperation shows an instance until what was asked of it is over, and fails
// unless it is healthy then. Ctrl-C only ends the watching.
func (c *cli) watchOperation(ctx context.Context, cl *client.Client, in resource.Instance, action resource.Action) error {
	in, err := c.followOperation(ctx, cl, in)
	if ctx.Err() != nil {
		return fmt.Errorf("stopped watching: the %s goes on", strings.ToLower(string(action)))
	}
	if err != nil {
		return fmt.Errorf("watch instance %s: %w", in.Name, err)
	}
	err = outcomeOf(in, action)
	switch {
	case c.format == formatJSON:
		return errors.Join(printLine(c.Stdout, in), err)
	case c.format == formatTable && err != nil:
		return err
	}
	tellErr := c.tell(in, "instance/%s %s: %s, %s", in.Name, past[action], in.Status.Health, in.Status.Admission)
	return errors.Join(tellErr, err)
}

// outcomeOf is the error of an operation that is over and did not go well, or nil.
func outcomeOf(in resource.Instance, action resource.Action) error {
	switch {
	case in.Status.Terminating() || in.Status.Goal == resource.GoalDelete:
		return fmt.Errorf("instance %s is to be deleted instead", in.Name)
	case !in.Status.Renewed():
		return fmt.Errorf("instance %s was not %s in time, which is still tried%s", in.Name, past[action], trouble(in.Status))
	case in.Status.Health != resource.HealthHealthy:
		return fmt.Errorf("instance %s is %s%s", in.Name, in.Status.Health, trouble(in.Status))
	}
	if v := in.Status.ValidatedNow(); v != nil && !v.Passed {
		return fmt.Errorf("instance %s takes no traffic as it failed its validation: %s", in.Name, oneLine(v.Message))
	}
	return nil
}

// followOperation returns the instance once nothing more is asked of it.
func (c *cli) followOperation(ctx context.Context, cl *client.Client, in resource.Instance) (resource.Instance, error) {
	o := client.WatchOptions{
		Kind: resource.KindInstance, Filter: client.Filter{Set: in.Status.Set, Name: in.Name},
		From: client.List{Revision: in.Revision}, Interrupted: interrupted(c.notes()),
	}
	last := operationText(in.Status)
	for change, err := range cl.Watch(ctx, o) {
		if err != nil {
			return in, err
		}
		if change.Deleted {
			return in, errors.New("it was deleted meanwhile")
		}
		if in, err = resource.From[resource.InstanceSpec, resource.InstanceStatus](change.Document); err != nil {
			return in, err
		}
		if in.Status.Operation == nil {
			break
		}
		if text := operationText(in.Status); text != last && c.format == formatTable {
			last = text
			fmt.Fprintf(c.Stdout, "%s  %s\n", time.Now().Format(time.TimeOnly), text)
		}
	}
	return in, nil
}

// operationText is how far a restart or reimage is.
func operationText(s resource.InstanceStatus) string {
	op := s.Operation
	switch {
	case op == nil:
		return string(s.Admission)
	case op.Released != nil && s.Renewed():
		return fmt.Sprintf("started, %s", s.Health)
	case op.Released != nil:
		return "out of service, its process is replaced"
	case op.Started != nil:
		return "draining"
	case s.Notice != nil:
		return "it was told, and goes when it approves or at " + s.Notice.NotBefore.Local().Format(time.TimeOnly)
	}
	return "waiting to be taken out of service"
}

// trouble is what its conditions say is wrong.
func trouble(s resource.InstanceStatus) string {
	text := ""
	for _, condition := range s.Conditions {
		if condition.Message != "" && condition.Type != resource.ConditionImageFieldsUnused {
			text += ": " + oneLine(condition.Message)
		}
	}
	return text
}
