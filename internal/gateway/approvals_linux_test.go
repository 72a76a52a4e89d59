package gateway

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/testtool"
)

// tracedFolder says that this is the child whose system calls are looked at.
const tracedFolder = "DROVER_TEST_APPROVALS"

const answered = "APPROVED"

// Before an approval is answered it is on disk: the file's content, its name, and
// the folder that has the name, in this order.
func TestAnApprovalIsOnDiskBeforeItIsAnswered(t *testing.T) {
	if dir := os.Getenv(tracedFolder); dir != "" {
		if err := approvalsIn(t, filepath.Join(dir, "approvals.json")).add([]string{"e1"}, time.Now()); err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString(answered)
		return
	}
	strace := testtool.Require(t, "strace")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	trace := filepath.Join(dir, "trace")
	cmd := exec.Command(strace, "-f", "-e", "trace=fsync,rename,renameat,renameat2,write", "-o", trace, self, "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), tracedFolder+"="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile(`(fsync)\(|(rename)\w*\(.*approvals\.json\.new|write\(1, "(` + answered + `)`)
	var order []string
	for _, m := range call.FindAllStringSubmatch(string(text), -1) {
		order = append(order, m[1]+m[2]+m[3])
	}
	if got := strings.Join(order, " "); got != "fsync rename fsync "+answered {
		t.Errorf("the order is %q:\n%s", got, text)
	}
}
