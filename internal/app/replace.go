package app

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// heedReplace has the gateway replaced whenever this process gets SIGUSR2: by the
// program's file as it is then. A new `up` does that by itself when that is another.
func (a *App) heedReplace(ctx context.Context) error {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR2)
	defer signal.Stop(asked)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-asked:
			a.gateway.Replace()
		}
	}
}
