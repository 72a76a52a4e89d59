package sample

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
)

// serveLines is a program that speaks no HTTP. When ctx ends, it ends with its
// connections.
func serveLines(ctx context.Context, c Config, port string, out io.Writer) error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "serving version %s at %s\n", c.Version, l.Addr())
	defer context.AfterFunc(ctx, func() { l.Close() })()
	var open sync.WaitGroup
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			open.Wait()
			return nil
		}
		if err != nil {
			return err
		}
		open.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			for lines := bufio.NewScanner(conn); lines.Scan(); {
				if _, err := fmt.Fprintf(conn, "%s %s\n", c.Version, lines.Text()); err != nil {
					return
				}
			}
		})
	}
}
