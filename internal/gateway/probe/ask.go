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
		ask := get
		if t.H2C {
			ask = get2
		}
		if err := ask(ctx, c, t); err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("no answer within %s", t.Timeout)
			}
			return err
		}
		return nil
	}
}

func get(_ context.Context, c net.Conn, t Target) error {
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
		if resp.StatusCode != t.expect() && resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		return judge(resp, t)
	}
}

// get2 is get by HTTP/2.
func get2(ctx context.Context, c net.Conn, t Target) error {
	only := new(http.Protocols)
	only.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: only, DialContext: func(context.Context, string, string) (net.Conn, error) { return c, nil }}
	defer tr.CloseIdleConnections()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.Address+t.Path, nil)
	if err != nil {
		return err
	}
	q.Header.Set("User-Agent", userAgent)
	resp, err := tr.RoundTrip(q)
	if err != nil {
		return fmt.Errorf("read the answer to GET %s by HTTP/2: %w", t.Path, err)
	}
	return judge(resp, t)
}

func judge(resp *http.Response, t Target) error {
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	_ = resp.Body.Close()
	if resp.StatusCode != t.expect() {
		return fmt.Errorf("GET %s answered %d, not %d", t.Path, resp.StatusCode, t.expect())
	}
	return nil
}

func (t *Target) expect() int { return cmp.Or(t.Expect, http.StatusOK) }
