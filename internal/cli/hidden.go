package cli

import (
	"context"

	"github.com/spf13/cobra"
)

// Local is what only a process on the server's own machine can do. The main
// program connects it to the server's code, which the command line itself, a
// client of the API, does not know.
type Local struct {
	// NewServer makes a server; it starts nothing.
	NewServer func(UpOptions) (Server, error)
	// Down stops what runs from a data folder and says what that was. A folder
	// that a server holds is an error with resource.CodeInUse, and nothing is stopped.
	Down func(ctx context.Context, data string) (Running, error)
	// Restore fills an empty data folder from a backup.
	Restore func(ctx context.Context, data, file string) error
	// Demo makes the demo command; nil: there is none.
	Demo func() *cobra.Command
	// Hidden are commands that Drover starts itself with, by their first
	// argument: the gateway, the launcher. They get the arguments after it and
	// return the exit code.
	Hidden map[string]func(args []string) int
}
