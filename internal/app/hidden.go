package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/droverhq/drover/internal/compute/process"
	"github.com/droverhq/drover/internal/gateway"
	"github.com/droverhq/drover/internal/gateway/accesslog"
	"github.com/droverhq/drover/internal/identity/redact"
	"github.com/droverhq/drover/internal/sample"
)

// GatewayCommand is the hidden sub-command that becomes the gateway; the data
// folder is its argument.
const GatewayCommand = "gateway"

// Hidden are the sub-commands that Drover starts itself with, by name. They get
// the arguments after it and return the exit code.
func Hidden(version string) map[string]func(args []string) int {
	return map[string]func([]string) int{
		GatewayCommand: func(args []string) int { return runGateway(version, args) },
		"launch":       process.LaunchMain,
		"sample":       func([]string) int { return sample.Main() },
	}
}

func runGateway(version string, args []string) int {
	standby := len(args) == 2 && args[1] == "standby"
	if len(args) != 1 && !standby {
		fmt.Fprintln(os.Stderr, "drover gateway: wants the data folder; Drover starts it itself")
		return 2
	}
	log := slog.New(redact.Handler(slog.NewTextHandler(os.Stderr, nil)))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	tuneGateway()
	err := gateway.Run(ctx, gateway.Options{
		RunDir: filepath.Join(args[0], dirRun), Version: version, Standby: standby, Lifeline: os.Stdin, Logger: log,
		Metadata:   metadataServers(args[0], log),
		AccessLogs: accesslog.Options{Secret: redact.Secret, TokenPrefix: redact.TokenPrefix},
	})
	if err != nil {
		log.Error("the gateway ends", "error", err)
		return 1
	}
	return 0
}

// tuneGateway sets what the environment leaves open.
func tuneGateway() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(gatewayProcessors(runtime.GOMAXPROCS(0)))
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // requests leave no garbage, so that memory is worth more than collections
	}
}

// gatewayProcessors is how many of a machine's processors the gateway runs on at
// once. The other half is the workloads': where all are busy, threads that the
// kernel takes off a processor keep requests waiting that another could answer.
func gatewayProcessors(all int) int { return (all + 1) / 2 }
