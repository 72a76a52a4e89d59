package control

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/droverhq/drover/internal/gateway/wire"
)

// StopGateway ends the gateways of a data folder, also when no control process
// runs, and returns when they are gone. When ctx ends first, they are killed. One
// that was just being started by a control process that is gone ends by itself, or
// comes to serve while its predecessor is stopped: so it is looked for again.
func StopGateway(ctx context.Context, dataDir string) error {
	runDir := filepath.Join(dataDir, "run")
	for {
		errs := make(chan error)
		roles := []wire.Role{wire.Serving, wire.Leaving}
		for _, r := range roles {
			go func() { errs <- stopRole(ctx, runDir, r) }()
		}
		none := 0
		var err error
		for range roles {
			if e := <-errs; errors.Is(e, errNone) {
				none++
			} else {
				err = errors.Join(err, e)
			}
		}
		if none == len(roles) || err != nil {
			return err
		}
	}
}

func stopRole(ctx context.Context, runDir string, r wire.Role) error {
	conn, hello, err := find(ctx, runDir, r)
	id := hello.Identity
	switch {
	case errors.Is(err, errNone):
		return errNone
	case err == nil:
		err = errors.Join(askStop(ctx, conn), awaitEnd(ctx, id))
	default:
		var known bool
		if id, known = r.Recorded(runDir); !known {
			return err
		}
	}
	if !id.Alive() {
		return nil
	}
	return errors.Join(fmt.Errorf("the gateway did not end in time and was killed: %w", err), kill(id))
}

// kill ends a gateway that does not listen to anybody, and waits until it is gone.
func kill(id wire.Identity) error {
	if err := id.Kill(); err != nil {
		return fmt.Errorf("kill the gateway: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	return awaitEnd(ctx, id)
}

// askStop asks; the answer may be lost, as the gateway closes the connection.
func askStop(ctx context.Context, conn *wire.Conn) error {
	defer conn.Close()
	var a wire.Attached
	files, err := conn.Call(ctx, wire.OpAttach, struct{}{}, &a)
	if err != nil {
		return err
	}
	for _, f := range files {
		f.Close()
	}
	_, err = conn.Call(ctx, wire.OpStop, wire.Stop{Epoch: a.Epoch}, &struct{}{})
	return err
}

func awaitEnd(ctx context.Context, id wire.Identity) error {
	t := time.NewTicker(pollStep)
	defer t.Stop()
	for id.Alive() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
	return nil
}
