package process

import (
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
)

func TestFindSocket(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:7531 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0 100 0 0 10 0
   1: 0100007F:9C40 0100007F:7531 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0
   2: 0200007F:9C40 0100007F:7531 01 00000000:00000000 00:00000000 00000000  2001        0 22 1 0 20 4 30 10 -1
   3: 0100007F:9C40 FEA9FEA9:0050 01 00000000:00000000 00:00000000 00000000  2000        0 33 1 0 20 4 30 10 -1
   4: 0000000000000000FFFF00000100007F:9C41 0000000000000000FFFF00000100007F:7531 01 00000000:00000000 00:00000000 00000000  2002        0 44 1 0
   5: torn`
	for at, want := range map[string]struct {
		uid   int
		inode string
	}{
		"127.0.0.1:40000": {2000, "33"}, // not the one that is in TIME_WAIT
		"127.0.0.2:40000": {2001, "22"},
		"127.0.0.1:40001": {2002, "44"},
		"127.0.0.1:30001": {}, // it listens
		"127.0.0.1:1":     {},
	} {
		uid, inode, found := findSocket([]byte(table), netip.MustParseAddrPort(at))
		if uid != want.uid || inode != want.inode || found != (want.inode != "") {
			t.Errorf("%s: %d %s %v", at, uid, inode, found)
		}
	}
}

// A connection of this very process is found with its user, and is no instance's.
func TestCallerThatIsNoInstance(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	uid, inode, err := ownSocket(netip.MustParseAddrPort(in.RemoteAddr().String()))
	if err != nil || inode == "" || uid != os.Geteuid() {
		t.Errorf("user %d, inode %q, %v", uid, inode, err)
	}
	d, err := New(Options{Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if name, err := d.Caller(in.RemoteAddr()); name != "" || err != nil {
		t.Errorf("it is called %q, %v", name, err)
	}
	if _, err := io.WriteString(out, "x"); err != nil {
		t.Fatal(err)
	}
}
