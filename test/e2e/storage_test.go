package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

// tear keeps the first half of a file.
func tear(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	check(t, err)
	if info.Size() < 2 {
		t.Fatalf("%s holds nothing to tear", path)
	}
	check(t, os.Truncate(path, info.Size()/2))
}

// A torn admin token and a torn key: the server starts with what is left, or with
// a new one, and says so.
func TestTornTokenAndKeys(t *testing.T) {
	s := startBeside(t, "--listen", "0.0.0.0:0")
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 2}.yaml())
	load := s.lightTraffic(s.serving(2))
	before := s.instances()
	ca, err := os.ReadFile(filepath.Join(s.data, "ca.pem"))
	check(t, err)

	s.kill()
	token := filepath.Join(s.data, "admin.token")
	tear(t, token)
	tear(t, filepath.Join(s.data, "keys", "tls-ca"))
	tear(t, filepath.Join(s.data, "ca.pem"))
	s.start()
	says(t, s.log.String(), "made a new admin token", token, "repaired one copy of a key")
	if now, err := os.ReadFile(filepath.Join(s.data, "ca.pem")); err != nil || string(now) != string(ca) {
		t.Errorf("one good copy of the key was not enough (%v)", err)
	}

	s.kill()
	check(t, os.WriteFile(token, nil, 0o600))
	tear(t, filepath.Join(s.data, "keys", "tls-ca"))
	tear(t, filepath.Join(s.data, "keys", "tls-ca.copy"))
	s.start()
	says(t, s.log.String(), "is empty", "both copies of a key are lost", "tls-ca.damaged-")
	says(t, s.mustDrover("get", "scalesets", "--server", "https://localhost:"+lastPort(s.url()), "--ca-file", filepath.Join(s.data, "ca.pem"), "--token-file", token), "hello")

	s.settled("1.0.0", 2)
	s.untouched(before)
	load.zeroFailed()
}

// A torn record of an instance: that one is started anew, once, and says why; the
// other is not touched.
func TestTornInstanceRecord(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 2}.yaml())
	address := s.serving(2)
	before := s.instances()
	s.kill()
	tear(t, filepath.Join(s.data, "instances", "hello", "hello_0", "record"))
	s.start()
	s.eventually(20*time.Second, "the instance runs again", func() (bool, error) {
		in := s.instances()[0]
		return in.Status.PID != 0 && in.Status.PID != before[0].Status.PID && in.Status.Health == resource.HealthHealthy, nil
	})
	s.settled("1.0.0", 2)
	if now := s.instances()[1]; now.Status.PID != before[1].Status.PID || now.Status.Restarts != 0 {
		t.Errorf("the other instance was touched: %+v", now.Status)
	}
	c := resource.FindCondition(s.instances()[0].Status.Conditions, "RecordDamaged")
	if c == nil {
		t.Fatalf("the instance does not say what happened: %+v", s.instances()[0].Status.Conditions)
	}
	says(t, s.log.String(), "record", "damaged", "hello_0")
	says(t, s.mustDrover("describe", "instance", "hello_0"), "RecordDamaged")
	check(t, fetchPlain(address))
}

// A database that cannot be read: the last snapshot is served, or nothing; the
// server says what may be missing, and what it does not know keeps running, listed.
func TestDamagedDatabase(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string){
		"garbage": func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			check(t, err)
			_, err = f.WriteAt([]byte(strings.Repeat("garbage ", 64)), 0)
			check(t, errors.Join(err, f.Close()))
		},
		"truncated": func(t *testing.T, path string) { check(t, os.Truncate(path, 1000)) },
		"gone":      func(t *testing.T, path string) { check(t, os.Remove(path)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := startBeside(t)
			s.push("hello:1.0.0", sample.Config{})
			s.apply(policy{capacity: 2}.yaml())
			s.serving(2)
			before := s.instances()
			revision := s.set("hello").Revision
			s.kill()
			check(t, os.RemoveAll(filepath.Join(s.data, "snapshots")))
			check(t, os.RemoveAll(filepath.Join(s.data, "documents.db-wal")))
			damage(t, filepath.Join(s.data, "documents.db"))
			s.start()

			says(t, s.log.String(), "the store was damaged", "repaired")
			says(t, s.mustDrover("status"), "Repaired:", "may be missing")
			s.keptAndListed(before)

			s.eventually(20*time.Second, "the gallery's versions are known again", func() (bool, error) {
				_, err := s.client.Get(s.ctx(), resource.KindImageVersion, "hello:1.0.0")
				return err == nil, nil
			})
			s.apply(policy{capacity: 1}.yaml())
			if now := s.set("hello").Revision; now <= revision {
				t.Errorf("revision %d was given out after %d", now, revision)
			}
			check(t, fetchPlain(s.serving(1)))
			s.keptAndListed(before)
			s.mustDrover("delete", "scaleset", "hello")
			if left := s.processes(); len(left) > 0 {
				t.Errorf("the set is deleted and %v runs", left)
			}
		})
	}
}

// The last snapshot is served: what it knows goes on as if nothing had happened,
// and an instance that is younger than it is kept and listed. No request is lost.
func TestSnapshotIsServed(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 2, drain: "1s"}.yaml())
	load := s.lightTraffic(s.serving(2))
	s.stop()
	snapshots := filepath.Join(s.data, "snapshots")
	check(t, os.RemoveAll(snapshots)) // the next start takes one soon
	s.start()
	s.eventually(20*time.Second, "a snapshot is taken", func() (bool, error) {
		list, _ := filepath.Glob(filepath.Join(snapshots, "documents-*.db"))
		return len(list) > 0, nil
	})
	s.mustDrover("scale", "hello", "3")
	s.serving(3)
	before := s.instances()
	s.kill()
	check(t, os.WriteFile(filepath.Join(s.data, "documents.db"), []byte("no database"), 0o600))
	s.start()
	says(t, s.mustDrover("status"), "Repaired:", "serves the snapshot of", "may be missing", filepath.Join(s.data, "damaged"))
	if n := s.set("hello").Spec.Capacity; n != 2 {
		t.Errorf("the set has the capacity %d, the snapshot knew 2", n)
	}
	s.keptAndListed(before[2:])
	s.serving(2)
	s.untouched(before)
	s.mustDrover("scale", "hello", "3")
	s.serving(3)
	if in := s.instances(); len(in) != 4 || in[3].Name != "hello_3" {
		t.Errorf("the number of an instance that runs was used again: %+v", in)
	}
	load.zeroFailed()
}

// keptAndListed: instances that the documents do not know keep running, marked.
func (s *server) keptAndListed(before []resource.Instance) {
	s.t.Helper()
	s.eventually(20*time.Second, "the instances are listed", func() (bool, error) { return len(s.instances()) >= len(before), nil })
	now := s.instances()
	for _, old := range before {
		i := indexOf(now, old.Name)
		if i < 0 {
			s.t.Fatalf("%s is not listed", old.Name)
		}
		if c := resource.FindCondition(now[i].Status.Conditions, resource.ConditionRecovered); c == nil {
			s.t.Errorf("%s is not marked: %+v", old.Name, now[i].Status.Conditions)
		}
		if syscall.Kill(old.Status.PID, 0) != nil {
			s.t.Errorf("%s no longer runs", old.Name)
		}
	}
}
