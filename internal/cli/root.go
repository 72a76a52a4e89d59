package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// rootCommand builds the whole tree of commands.
func (c *cli) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "drover",
		Short: "Deliver new versions of software to fleets without losing a request",
		Long: `Drover runs a scale set of your program behind its own load balancer and moves it
to a new version without losing a request. One binary is the server and its client.`,
		Example: `  drover up &
  drover image push hello:1.0.0 ./hello --entrypoint "./server"
  drover apply -f hello.yaml
  drover rollout start hello --image hello:2.0.0 --watch`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          subcommandArgs,
		RunE:          showHelp,
	}
	root.AddGroup(
		&cobra.Group{ID: "server", Title: "Server:"},
		&cobra.Group{ID: "documents", Title: "Documents:"},
		&cobra.Group{ID: "work", Title: "Day to day:"},
	)
	addGroup(root, "server", c.upCommand(), c.downCommand(), c.backupCommand(), c.restoreCommand(), c.tokenCommand(), c.versionCommand())
	addGroup(root, "documents", c.applyCommand(), c.diffCommand(), c.getCommand(), c.describeCommand(), c.deleteCommand())
	addGroup(root, "work", c.statusCommand(), c.rolloutCommand(), c.scaleCommand(), c.instanceCommand(), c.logsCommand(), c.imageCommand())
	if c.local.Demo != nil {
		addGroup(root, "server", c.local.Demo())
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	strictArgs(root)
	return root
}

func addGroup(root *cobra.Command, id string, commands ...*cobra.Command) {
	for _, cmd := range commands {
		cmd.GroupID = id
		root.AddCommand(cmd)
	}
}

// strictArgs makes every complaint about arguments one about usage, and every
// command that does not say what it takes take none.
func strictArgs(cmd *cobra.Command) {
	check := cmd.Args
	if check == nil {
		check = cobra.NoArgs
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
	for _, sub := range cmd.Commands() {
		strictArgs(sub)
	}
}

// group is a command that only has commands below it.
func group(use, short, example string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Example: example, Args: subcommandArgs, RunE: showHelp}
	cmd.AddCommand(commands...)
	return cmd
}

// subcommandArgs: whatever is left is a command that does not exist.
func subcommandArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usagef("there is no command %q; did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return usagef("there is no command %q", args[0])
}

func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// oneLine keeps an error message, which may quote anything, on its line.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}
