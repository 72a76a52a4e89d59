package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// LogOptions say which part of a log is wanted.
type LogOptions struct {
	Follow bool
	Tail   int // lines; negative: all
	// Interrupted is told when the connection was lost, before it is tried again;
	// Missing, what of the log cannot be had any more. They may be nil.
	Interrupted, Missing func(error)
}

// Logs writes what an instance wrote to w. It ends with the log or, when that is
// followed, with ctx. A server that goes away meanwhile is looked for again, and
// the log goes on at the byte where it broke off.
func (c *Client) Logs(ctx context.Context, instance string, o LogOptions, w io.Writer) error {
	l := &logReader{client: c, instance: instance, o: o, w: w}
	body, err := l.open(ctx) // a server that never answered is not looked for again
	if err != nil {
		return err
	}
	return c.persist(ctx, o.Interrupted, func() error {
		if body == nil {
			if body, err = l.open(ctx); err != nil {
				return err
			}
		}
		err := errors.Join(l.copy(body), body.Close())
		body = nil
		return err
	}, func() time.Time { return l.lastHeard })
}

// logReader is what one reader of a log has got so far.
type logReader struct {
	client    *Client
	instance  string
	o         LogOptions
	w         io.Writer
	next      logPosition // of the next byte
	lastHeard time.Time
}

// open asks for the log, from where it broke off if it did.
func (l *logReader) open(ctx context.Context) (io.ReadCloser, error) {
	query := url.Values{}
	if l.o.Follow {
		query.Set("follow", "true")
	}
	switch {
	case l.next.known:
		query.Set("after", l.next.String())
	case l.o.Tail >= 0:
		query.Set("tail", strconv.Itoa(l.o.Tail))
	}
	resp, err := l.client.open(ctx, request{method: http.MethodGet, path: []string{"instances", l.instance, "logs"}, query: query})
	if err != nil {
		return nil, err
	}
	l.lastHeard = time.Now()
	begins := parseLogPosition(resp.Header.Get("Drover-Log-Position"))
	if l.next.known && l.o.Missing != nil {
		if err := l.next.gap(begins); err != nil {
			l.o.Missing(err)
		}
	}
	l.next = begins
	return resp.Body, nil
}

// copy passes an answer on to its end.
func (l *logReader) copy(from io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		l.lastHeard = time.Now() // also of an end: a log may have been quiet for hours before
		if n > 0 {
			l.next.offset += int64(n)
			if _, err := l.w.Write(buf[:n]); err != nil {
				return fmt.Errorf("pass the log of %s on: %w", l.instance, err)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !l.next.known:
			return fmt.Errorf("read the log of %s: %w", l.instance, err) // nobody knows where to go on
		case err != nil:
			return resource.Errorf(resource.CodeUnavailable, "the connection to %s ended: %v", l.client.target, err)
		}
	}
}

// logPosition is a place in a log, as Drover-Log-Position has it.
type logPosition struct {
	life   string
	offset int64
	known  bool
}

func (p logPosition) String() string { return p.life + ":" + strconv.FormatInt(p.offset, 10) }

func parseLogPosition(text string) logPosition {
	life, offset, ok := strings.Cut(text, ":")
	n, err := strconv.ParseInt(offset, 10, 64)
	return logPosition{life, n, ok && err == nil}
}

// gap says what is missing, or doubled, between where a reader was and where it goes on.
func (p logPosition) gap(begins logPosition) error {
	switch {
	case !begins.known, begins.life != p.life, begins.offset < p.offset:
		return errors.New("the server does not know any more how far the log was read: lines may be missing or come twice")
	case begins.offset > p.offset:
		return fmt.Errorf("%d bytes of the log were rotated away meanwhile", begins.offset-p.offset)
	}
	return nil
}
