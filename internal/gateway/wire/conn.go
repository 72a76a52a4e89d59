package wire

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxMessage = 64 << 20
	maxFiles   = 16 << 10
	// The kernel takes at most 253 files with one byte.
	filesPerByte = 200
)

// ErrSuperseded is the error of a call by a control process that another one has replaced.
var ErrSuperseded = errors.New("another control process has taken over this gateway")

// ErrOutdated is the error of applying a snapshot older than the one that is applied.
var ErrOutdated = errors.New("a later snapshot is already applied")

type request struct {
	Op   string          `json:"op"`
	Body json.RawMessage `json:"body,omitempty"`
}

type reply struct {
	Error string          `json:"error,omitempty"`
	Code  string          `json:"code,omitempty"`
	Body  json.RawMessage `json:"body,omitempty"`
}

var codes = map[string]error{"superseded": ErrSuperseded, "outdated": ErrOutdated}

// Conn carries calls. Call may be used from several goroutines; calls queue.
type Conn struct {
	mu   sync.Mutex
	unix *net.UnixConn
}

// Dial connects to the gateway's socket.
func Dial(ctx context.Context, path string) (*Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("connect to the gateway: %w", err)
	}
	return &Conn{unix: c.(*net.UnixConn)}, nil
}

// NewConn is the answering end of a connection.
func NewConn(c *net.UnixConn) *Conn { return &Conn{unix: c} }

// Close ends calls in progress.
func (c *Conn) Close() error { return c.unix.Close() }

// PeerPID is the process that listens at the other end; 0 where the system does not tell.
func (c *Conn) PeerPID() int { return peerPID(c.unix) }

// Call asks and waits for the answer until ctx ends, which breaks the
// connection: what the other end made of an unanswered call is not known.
// files stay the caller's; those returned are the caller's too.
func (c *Conn) Call(ctx context.Context, op string, in, out any, files ...*os.File) ([]*os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { c.unix.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	body, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", op, err)
	}
	if err := c.send(request{Op: op, Body: body}, files); err != nil {
		return nil, callError(ctx, op, err)
	}
	var r reply
	got, err := c.receive(&r)
	if err != nil {
		return nil, callError(ctx, op, err)
	}
	if r.Error != "" {
		closeAll(got)
		return nil, fmt.Errorf("gateway: %s: %w", op, r.err())
	}
	if err := json.Unmarshal(r.Body, out); err != nil {
		closeAll(got)
		return nil, fmt.Errorf("decode the gateway's answer to %s: %w", op, err)
	}
	return got, nil
}

func callError(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("gateway: %s: %w", op, err)
}

func (r reply) err() error {
	if known, ok := codes[r.Code]; ok {
		return known
	}
	return errors.New(r.Error)
}

// Handler answers one call. The files it is given are its own; of those it
// returns, the caller closes none: they are sent and stay the handler's.
type Handler func(op string, body json.RawMessage, files []*os.File) (out any, send []*os.File, err error)

// Serve answers calls until the other end is gone.
func (c *Conn) Serve(handle Handler) error {
	for {
		var q request
		files, err := c.receive(&q)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		out, send, err := handle(q.Op, q.Body, files)
		if err := c.send(answer(out, err), send); err != nil {
			return err
		}
	}
}

func answer(out any, err error) reply {
	if err == nil {
		var body []byte
		if body, err = json.Marshal(out); err == nil {
			return reply{Body: body}
		}
	}
	r := reply{Error: err.Error()}
	for code, known := range codes {
		if errors.Is(err, known) {
			r.Code = code
		}
	}
	return r
}

func (c *Conn) send(message any, files []*os.File) error {
	body, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	if len(body) > maxMessage || len(files) > maxFiles {
		return fmt.Errorf("a message of %d bytes with %d files is too large", len(body), len(files))
	}
	var head [8]byte
	binary.BigEndian.PutUint32(head[:4], uint32(len(body)))
	binary.BigEndian.PutUint32(head[4:], uint32(len(files)))
	if _, err := c.unix.Write(head[:]); err != nil {
		return err
	}
	if err := c.sendFiles(files); err != nil {
		return err
	}
	_, err = c.unix.Write(body)
	return err
}

func (c *Conn) sendFiles(files []*os.File) error {
	for len(files) > 0 {
		n := min(len(files), filesPerByte)
		fds := make([]int, n)
		for i, f := range files[:n] {
			// Not f.Fd(): that makes the shared description blocking, under the gateway's feet.
			raw, err := f.SyscallConn()
			if err != nil {
				return err
			}
			if err := raw.Control(func(fd uintptr) { fds[i] = int(fd) }); err != nil {
				return err
			}
		}
		if _, _, err := c.unix.WriteMsgUnix([]byte{'F'}, unix.UnixRights(fds...), nil); err != nil {
			return fmt.Errorf("send %d sockets: %w", n, err)
		}
		files = files[n:]
	}
	return nil
}

func (c *Conn) receive(message any) ([]*os.File, error) {
	var head [8]byte
	if _, err := io.ReadFull(c.unix, head[:]); err != nil {
		return nil, err
	}
	size, count := binary.BigEndian.Uint32(head[:4]), binary.BigEndian.Uint32(head[4:])
	if size > maxMessage || count > maxFiles {
		return nil, fmt.Errorf("a message of %d bytes with %d files is too large", size, count)
	}
	files, err := c.receiveFiles(int(count))
	if err != nil {
		return nil, err
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(c.unix, body); err != nil {
		closeAll(files)
		return nil, err
	}
	if err := json.Unmarshal(body, message); err != nil {
		closeAll(files)
		return nil, fmt.Errorf("decode a message: %w", err)
	}
	return files, nil
}

func (c *Conn) receiveFiles(count int) (files []*os.File, err error) {
	defer func() {
		if err != nil {
			closeAll(files)
			files = nil
		}
	}()
	for len(files) < count {
		var b [1]byte
		oob := make([]byte, unix.CmsgSpace(filesPerByte*4))
		_, n, flags, _, err := c.unix.ReadMsgUnix(b[:], oob)
		if err != nil {
			return files, fmt.Errorf("receive sockets: %w", err)
		}
		got, err := filesIn(oob[:n])
		files = append(files, got...)
		if err != nil {
			return files, err
		}
		if len(got) == 0 || flags&unix.MSG_CTRUNC != 0 {
			return files, errors.New("receive sockets: some were lost on the way (open files limit?)")
		}
	}
	if len(files) != count {
		return files, fmt.Errorf("received %d sockets instead of %d", len(files), count)
	}
	return files, nil
}

func filesIn(oob []byte) ([]*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("receive sockets: %w", err)
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return files, fmt.Errorf("receive sockets: %w", err)
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "socket"))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
