package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/droverhq/drover/internal/gateway/wire"
)

// book holds a duplicate of every listening socket. It never accepts: as long as
// it holds one, connections wait in the kernel also while no gateway runs.
type book struct {
	mu     sync.Mutex
	held   map[string]*held
	wanted []string // sockets that are not a balancer's
	closed bool
}

type held struct {
	wire.Socket
	file *os.File
}

func newBook() *book { return &book{held: map[string]*held{}} }

// adopt takes over what a gateway holds.
func (b *book) adopt(list []wire.Socket, files []*os.File) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	switch {
	case b.closed:
		err = net.ErrClosed
	case len(list) != len(files):
		err = fmt.Errorf("the gateway named %d sockets and gave %d", len(list), len(files))
	}
	if err != nil {
		for _, f := range files {
			f.Close()
		}
		return err
	}
	for i, s := range list {
		if b.held[s.Name] != nil {
			files[i].Close()
			continue
		}
		b.held[s.Name] = &held{Socket: s, file: files[i]}
	}
	return nil
}

// errReserved keeps who says "localhost:7400" from being answered by a workload
// at [::1]:7400 while the API is at 127.0.0.1:7400.
var errReserved = errors.New("the port is Drover's own, at every address")

// bind makes sure that there is a socket of that name. Ports of wanted sockets are
// nobody else's.
func (b *book) bind(ctx context.Context, name, address string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return net.ErrClosed
	case b.held[name] != nil:
		return nil
	case b.reserves(name, address):
		return errReserved
	}
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", address)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err // the address is said already
		}
		return err
	}
	defer l.Close()
	if b.reserves(name, l.Addr().String()) {
		return errReserved // by chance
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	b.held[name] = &held{Socket: wire.Socket{Name: name, Address: l.Addr().String()}, file: f}
	return nil
}

// reserves says whether a port is that of a wanted socket, and name another one. At
// the link-local address the port is everybody's: 80.
func (b *book) reserves(name, address string) bool {
	if slices.Contains(b.wanted, name) {
		return false
	}
	return slices.ContainsFunc(b.wanted, func(wanted string) bool {
		h := b.held[wanted]
		return h != nil && portOf(h.Address) == portOf(address) && !strings.HasPrefix(wanted, linkLocalSocket)
	})
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// want keeps a socket that no balancer names.
func (b *book) want(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.wanted, name) {
		b.wanted = append(b.wanted, name)
	}
}

// listener accepts on a held socket.
func (b *book) listener(name string) (net.Listener, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.held[name]
	if h == nil {
		return nil, net.ErrClosed
	}
	return net.FileListener(h.file)
}

// address is what a socket is bound to; empty: there is none.
func (b *book) address(name string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if h := b.held[name]; h != nil {
		return h.Address
	}
	return ""
}

// has says whether there is every socket of a balancer.
func (b *book) has(w wire.Balancer) bool {
	return b.address(w.Socket) != "" && (w.Redirect == "" || b.address(w.Redirect) != "")
}

// choose returns those of names that are held, and the wanted ones.
func (b *book) choose(names []string) []wire.Socket {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []wire.Socket
	for _, name := range append(slices.Clone(b.wanted), names...) {
		if h := b.held[name]; h != nil && !slices.Contains(list, h.Socket) {
			list = append(list, h.Socket)
		}
	}
	return list
}

// files are those of the given sockets, to be sent before anything else is asked
// of the book. Stop may have closed it meanwhile.
func (b *book) files(list []wire.Socket) ([]*os.File, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var files []*os.File
	for _, s := range list {
		h := b.held[s.Name]
		if h == nil {
			return nil, fmt.Errorf("give the gateway %s: %w", s.Name, net.ErrClosed)
		}
		files = append(files, h.file)
	}
	return files, nil
}

// keep closes every socket that is not in list, and says whether there was one.
func (b *book) keep(list []wire.Socket) (closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, h := range b.held {
		if !slices.Contains(list, h.Socket) {
			h.file.Close()
			delete(b.held, name)
			closed = true
		}
	}
	return closed
}

// close lets go of everything; a gateway holds its own.
func (b *book) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for name, h := range b.held {
		h.file.Close()
		delete(b.held, name)
	}
}
