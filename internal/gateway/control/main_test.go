package control_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/droverhq/drover/internal/gateway"
)

// The test binary is the gateway process too, when it is told so.
const asGateway = "run-the-gateway-in"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == asGateway {
		os.Exit(runGateway(os.Args[2], len(os.Args) > 3 && os.Args[3] == "standby"))
	}
	goleak.VerifyTestMain(m)
}

func runGateway(dir string, standby bool) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if err := gateway.Run(ctx, gateway.Options{RunDir: dir, Version: "test", Standby: standby, Lifeline: os.Stdin, Logger: logger}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
