package wire

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Identity tells a process from every other one, also from one that later gets
// its number, and from one before the machine was started again.
type Identity struct {
	Boot  string `json:"boot"`
	PID   int    `json:"pid"`
	Start string `json:"start"`
}

// Self is the identity of this process.
func Self() (Identity, error) {
	id := Identity{PID: os.Getpid()}
	var err error
	if id.Boot, err = bootID(); err != nil {
		return id, fmt.Errorf("read the boot id: %w", err)
	}
	if id.Start, _, err = startOf(id.PID); err != nil {
		return id, fmt.Errorf("read this process's start time: %w", err)
	}
	return id, nil
}

// Alive says that this very process exists and has not ended. A zombie has.
func (id Identity) Alive() bool {
	boot, err := bootID()
	if err != nil || boot != id.Boot || id.PID <= 0 {
		return false
	}
	start, ended, err := startOf(id.PID)
	return err == nil && !ended && start == id.Start
}

// Kill ends the process for sure, and only it: the handle is taken before the
// identity is compared, so that a number given to another process meanwhile is not hit.
func (id Identity) Kill() error {
	p, err := os.FindProcess(id.PID)
	if err != nil {
		return err
	}
	defer p.Release()
	if !id.Alive() {
		return nil
	}
	return p.Kill()
}

// Role is what a gateway of a data folder is. There is at most one of each.
type Role string

const (
	Serving Role = "gateway" // it has the lock, and accepts
	Standby Role = "standby" // it is to succeed the one that serves; nobody but its starter knows of it
	Leaving Role = "leaving" // it has been succeeded, and finishes
)

// SocketPath is the private socket of the gateway in a role.
func (r Role) SocketPath(runDir string) string { return filepath.Join(runDir, string(r)+".sock") }

// IdentityPath is where it leaves its identity.
func (r Role) IdentityPath(runDir string) string { return filepath.Join(runDir, string(r)+".json") }

// LockPath is the lock that the one that serves has.
func LockPath(runDir string) string { return filepath.Join(runDir, "gateway.lock") }

// ApprovalsPath is where a gateway keeps what it was approved until the control process has taken it up.
func ApprovalsPath(runDir string) string { return filepath.Join(runDir, "approvals.json") }

// Recorded is the identity that a gateway left in the run folder. A missing or
// torn file is no error: then only the socket can tell whether one runs.
func (r Role) Recorded(runDir string) (Identity, bool) {
	var id Identity
	raw, err := os.ReadFile(r.IdentityPath(runDir))
	if err != nil || json.Unmarshal(raw, &id) != nil || id.PID <= 0 {
		return Identity{}, false
	}
	return id, true
}

// Record leaves a process's identity in the run folder, whole or not at all.
func (r Role) Record(runDir string, id Identity) error {
	raw, err := json.Marshal(id)
	if err != nil {
		return err
	}
	path := r.IdentityPath(runDir)
	if err := os.WriteFile(path+".new", raw, 0o600); err != nil {
		return fmt.Errorf("record the gateway's identity: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("record the gateway's identity: %w", err)
	}
	return nil
}
