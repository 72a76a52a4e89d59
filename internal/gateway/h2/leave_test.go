package h2

import (
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

const (
	forHead = 10 * time.Second
	forIdle = time.Minute
)

// inTime runs a test with a time of its own, in which somebody sweeps.
func inTime(t *testing.T, handle func(*Stream), test func(t *testing.T, g *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		g := rigOn(t, server, client, handle)
		quit := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-quit:
					return
				case <-time.After(100 * time.Millisecond):
					g.conn.Check(forHead, forIdle)
				}
			}
		}()
		test(t, g)
		close(quit)
		<-done
		client.Close()
		<-g.ended
	})
}

func within(t *testing.T, began time.Time, want time.Duration) {
	t.Helper()
	if d := time.Since(began); d < want || d > want+250*time.Millisecond {
		t.Errorf("after %s, want %s", d, want)
	}
}

func TestWhatTakesTooLong(t *testing.T) {
	t.Run("the first SETTINGS", func(t *testing.T) {
		inTime(t, nil, func(t *testing.T, g *rig) {
			began := time.Now()
			g.wantLater("GOAWAY 0 ENHANCE_YOUR_CALM")
			within(t, began, forHead)
			g.wantEnd()
		})
	})
	t.Run("a section of fields", func(t *testing.T) {
		inTime(t, nil, func(t *testing.T, g *rig) {
			g.greet()
			time.Sleep(forHead)
			began := time.Now()
			_ = g.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
			g.send()
			time.Sleep(forHead / 2)
			_ = g.framer.WriteContinuation(1, false, []byte{0x82})
			g.send()
			g.want("GOAWAY 0 ENHANCE_YOUR_CALM")
			within(t, began, forHead)
			g.wantEnd()
		})
	})
	t.Run("the next request", func(t *testing.T) {
		inTime(t, nil, func(t *testing.T, g *rig) {
			g.greet()
			time.Sleep(forIdle / 2)
			g.headers(1, true, get())
			g.send()
			g.want("HEADERS 1 :status=200", `DATA 1 "" end`)
			began := time.Now()
			time.Sleep(forIdle - time.Second)
			g.want("GOAWAY 2147483647 NO_ERROR", "PING")
			within(t, began, forIdle)
			_ = g.framer.WritePing(true, leavingPing)
			g.send()
			g.want("GOAWAY 1 NO_ERROR")
			g.wantEnd()
		})
	})
	t.Run("a peer that takes nothing", func(t *testing.T) {
		inTime(t, gives(5), func(t *testing.T, g *rig) {
			g.greet(window(1))
			g.headers(1, true, get())
			g.send()
			g.want("HEADERS 1 :status=200", `DATA 1 "x"`)
			time.Sleep(forIdle - time.Second)
			_ = g.framer.WriteWindowUpdate(1, 1)
			g.send()
			g.want(`DATA 1 "x"`)
			began := time.Now()
			time.Sleep(forIdle - time.Second)
			g.want("RST_STREAM 1 CANCEL")
			within(t, began, forIdle)
		})
	})
	t.Run("a body that does not come", func(t *testing.T) {
		late := make(chan error, 1)
		inTime(t, func(s *Stream) {
			s.SetReadDeadline(time.Now().Add(5 * time.Second))
			_, err := s.Read(make([]byte, 1))
			late <- err
			s.Release()
		}, func(t *testing.T, g *rig) {
			g.greet()
			began := time.Now()
			g.headers(1, false, post())
			g.send()
			g.want("RST_STREAM 1 INTERNAL_ERROR")
			within(t, began, 5*time.Second)
			if err := <-late; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	})
}

// Who is answered before it has said all has a moment to see that.
func TestTheRestIsRefused(t *testing.T) {
	inTime(t, func(s *Stream) {
		_ = s.WriteHead(status(413), true)
		s.CloseRead()
		_ = s.Flush()
		s.Release()
	}, func(t *testing.T, g *rig) {
		g.greet()
		began := time.Now()
		for id := uint32(1); id < 2*maxRests+9; id += 2 {
			g.headers(id, false, post())
			g.send()
			g.want(fmt.Sprintf("HEADERS %d :status=413 end", id))
			synctest.Wait()
			if id > 2*maxRests { // there are too many
				g.want(fmt.Sprintf("RST_STREAM %d NO_ERROR", id-2*maxRests))
			}
		}
		_ = g.framer.WriteData(9, true, []byte("x")) // it has ended
		_ = g.framer.WriteRSTStream(11, http2.ErrCodeCancel)
		_ = g.framer.WriteData(13, false, []byte("x"))
		g.send()
		g.want("RST_STREAM 13 NO_ERROR")
		within(t, began, refuseAfter)
		for id := uint32(15); id < 2*maxRests+9; id += 2 {
			g.want(fmt.Sprintf("RST_STREAM %d NO_ERROR", id))
		}
	})
}

// Who loses patience with an instance is no attacker.
func TestStreamsThatAreResetLater(t *testing.T) {
	inTime(t, func(s *Stream) {
		_, _ = s.Read(make([]byte, 1))
		s.Release()
	}, func(t *testing.T, g *rig) {
		g.greet()
		id := uint32(1)
		for range 20 {
			first := id
			for range 100 {
				g.headers(id, false, post())
				id += 2
			}
			g.send()
			time.Sleep(atOnce)
			for ; first < id; first += 2 {
				_ = g.framer.WriteRSTStream(first, http2.ErrCodeCancel)
			}
			g.send()
		}
		_ = g.framer.WritePing(false, [8]byte{})
		g.send()
		g.want("PING ack \"\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"")
	})
}

func TestLeaving(t *testing.T) {
	t.Run("without streams", func(t *testing.T) {
		inTime(t, nil, func(t *testing.T, g *rig) {
			g.greet()
			go g.conn.Shutdown()
			g.want("GOAWAY 2147483647 NO_ERROR", "PING")
			_ = g.framer.WritePing(true, leavingPing)
			g.send()
			g.want("GOAWAY 0 NO_ERROR")
			g.wantEnd()
		})
	})
	t.Run("without an answer to the PING", func(t *testing.T) {
		inTime(t, nil, func(t *testing.T, g *rig) {
			g.greet()
			began := time.Now()
			g.conn.Shutdown()
			g.want("GOAWAY 2147483647 NO_ERROR", "PING", "GOAWAY 0 NO_ERROR")
			within(t, began, leaveAfter)
			g.wantEnd()
		})
	})
	t.Run("with streams, and one that was on its way", func(t *testing.T) {
		var release chan struct{}
		inTime(t, func(s *Stream) { <-release; echo(s) }, func(t *testing.T, g *rig) {
			release = make(chan struct{})
			g.greet()
			g.headers(1, true, get())
			g.send()
			g.conn.Shutdown()
			g.want("GOAWAY 2147483647 NO_ERROR", "PING")
			g.headers(3, true, get())
			_ = g.framer.WritePing(true, leavingPing)
			g.headers(5, true, get("a", "b")) // too late
			g.send()
			g.want("GOAWAY 3 NO_ERROR", "RST_STREAM 5 REFUSED_STREAM")
			synctest.Wait()
			select {
			case <-g.ended:
				t.Fatal("streams are running")
			default:
			}
			close(release)
			for range 4 {
				g.next()
			}
			g.wantEnd()
		})
	})
}

// Who has a stream in use is told when the client has left.
func TestAClientThatLeaves(t *testing.T) {
	in, gone := make(chan struct{}), make(chan struct{})
	g := newRig(t, func(s *Stream) {
		s.Watch(watcher(func() { close(gone) }))
		close(in)
		<-gone
		s.Release()
	}).greet()
	g.headers(1, true, get())
	g.send()
	<-in
	g.client.Close()
	<-gone
}

type watcher func()

func (w watcher) Gone() { w() }
