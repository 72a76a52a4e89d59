package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

const streamPace = 50 * time.Millisecond

// webSocket echoes messages, one at a time, and opens the next when the gateway
// ends it in order (a 1001 close after everything was answered).
func webSocket(address string) func(context.Context, *visitor) error {
	return func(ctx context.Context, v *visitor) error {
		conn, resp, err := websocket.Dial(ctx, "ws://"+address+"/ws", nil)
		if err != nil {
			return fmt.Errorf("dial: %w", err)
		}
		defer conn.CloseNow()
		opened := time.Now()
		for n := 0; ctx.Err() == nil; n++ {
			err := echoed(ctx, conn, fmt.Sprintf("%s, %d", v.name, n))
			if websocket.CloseStatus(err) == websocket.StatusGoingAway {
				v.ended(instanceOf(resp.Header), opened) // what crossed with the close was never taken
				return nil
			}
			if err != nil {
				return err
			}
			v.count()
			rest(ctx, streamPace)
		}
		return nil
	}
}

func echoed(ctx context.Context, conn *websocket.Conn, message string) error {
	if err := conn.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
		return err
	}
	_, got, err := conn.Read(ctx)
	if err == nil && string(got) != message {
		return fmt.Errorf("sent %q, got %q", message, got)
	}
	return err
}

// events listens to numbered events. At an end of file it asks for those behind the
// last that it saw, on the same connection: each has to come exactly once.
func events(address string, by exchanger) func(context.Context, *visitor) error {
	last := 0
	return func(ctx context.Context, v *visitor) (err error) {
		req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/events?ms=%d", address, streamPace.Milliseconds()), nil)
		if err != nil {
			return err
		}
		req.Header.Set("Last-Event-ID", strconv.Itoa(last))
		resp, err := by.do(ctx, req)
		defer func() { by.done(resp, err) }()
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("the answer is %s", resp.Status)
		}
		opened := time.Now()
		if err := listen(v, bufio.NewScanner(resp.Body), &last); err != nil {
			return err
		}
		v.ended(instanceOf(resp.Header), opened)
		return nil
	}
}

// listen reads events to the stream's end. Half of one is none.
func listen(v *visitor, lines *bufio.Scanner, last *int) error {
	id := 0
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			var err error
			if id, err = strconv.Atoi(text); err != nil {
				return fmt.Errorf("the event's number: %w", err)
			}
		}
		if lines.Text() != "" {
			continue
		}
		if id != *last+1 {
			return fmt.Errorf("event %d came after %d", id, *last)
		}
		*last = id
		v.count()
	}
	return lines.Err()
}
