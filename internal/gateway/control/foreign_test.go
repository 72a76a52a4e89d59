package control_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/gateway/control"
	"github.com/droverhq/drover/internal/gateway/wire"
)

// A gateway of a later or earlier protocol, which cannot be told anything, is
// succeeded all the same.
func TestAGatewayOfAnotherProtocolIsSucceeded(t *testing.T) {
	s := newSite(t)
	s.serving("hello", "front", 1)
	address := s.lb("front").Status.Address
	s.stopControl()
	if err := control.StopGateway(t.Context(), s.dir); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	socket := wire.Socket{Name: "balancer/front@127.0.0.1:0", Address: address}
	other := s.otherGateway(99, socket, l.(*net.TCPListener), s.leaveAsOther)
	waiting, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	s.startControl()
	if err := ask(waiting); err != nil {
		t.Errorf("a connection that the other did not accept: %v", err)
	}
	select {
	case <-other:
	case <-time.After(patience):
		t.Error("the other was not asked to leave")
	}
	s.until("it is told what the documents say", func() bool { return s.Applied(s.store.Revision()) })
	if got := s.lb("front").Status.Address; got != address {
		t.Errorf("the balancer moved to %s", got)
	}
}

// leaveAsOther does what Leave means in every version.
func (s *site) leaveAsOther(op string, body json.RawMessage) error {
	var l wire.Leave
	if err := json.Unmarshal(body, &l); err != nil || op != wire.OpLeave || l.Generation != 7 {
		return fmt.Errorf("%s of %+v: %w", op, l, err)
	}
	c, err := wire.Dial(s.t.Context(), wire.Standby.SocketPath(filepath.Join(s.dir, "run")))
	if err != nil {
		return err
	}
	s.t.Cleanup(func() { c.Close() })
	lock, err := os.OpenFile(wire.LockPath(filepath.Join(s.dir, "run")), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	facts := wire.Facts{Incarnation: "other", Process: "other", Generation: 7}
	_, err = c.Call(s.t.Context(), wire.OpSucceed, wire.Succeed{Rehearsed: l.Rehearsed, Facts: facts}, &struct{}{}, lock)
	return err
}
