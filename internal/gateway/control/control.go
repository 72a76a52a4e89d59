package control

import "log/slog"

// Options say where the gateway lives and how it is started.
type Options struct {
	// DataDir is Drover's data folder; the private socket is in its run/.
	DataDir string
	// Command is the program and arguments that become the gateway: drover gateway …
	Command []string
	// Version is this program's; a gateway of another one is only reported.
	Version string
	Logger  *slog.Logger
}

// Control is the control process's end of the gateway. New is inert.
type Control struct {
	*answers
	o Options
}

// New makes a Control; Run starts it.
func New(o Options) *Control {
	return &Control{answers: newAnswers(), o: o}
}
