package probe

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

const (
	maxAnswer = 64 << 10
	userAgent = "drover-probe"
)

// Asker asks once.
type Asker func(ctx context.Context, t Target) error

// Network is the Asker that really asks. forbidden, which may be nil, refuses
// resolved addresses that must not be probed.
func Network(forbidden func(address string) bool) Asker {
	d := net.Dialer{}
	if forbidden != nil {
		d.Control = func(_, resolved string, _ syscall.RawConn) error {
			if forbidden(resolved) {
				return fmt.Errorf("%s is Drover's own", resolved)
			}
			return nil
		}
	}
	return func(ctx context.Context, t Target) error {
		c, err := d.DialContext(ctx, "tcp", t.Address)
		if err != nil {
			return err
		}
		defer c.Close()
		if t.Path == "" {
			return nil
		}
		stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
		defer stop()
		if err := get(c, t); err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("no answer within %s", t.Timeout)
			}
			return err
		}
		return nil
	}
}

func get(c net.Conn, t Target) error {
	expect := cmp.Or(t.Expect, http.StatusOK)
	_, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nConnection: close\r\n\r\n", t.Path, t.Address, userAgent)
	if err != nil {
		return err
	}
	r := bufio.NewReader(io.LimitReader(c, maxAnswer))
	for {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return fmt.Errorf("read the answer to GET %s: %w", t.Path, err)
		}
		if resp.StatusCode != expect && resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != expect {
			return fmt.Errorf("GET %s answered %d, not %d", t.Path, resp.StatusCode, expect)
		}
		return nil
	}
}
