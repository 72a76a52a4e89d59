package process

// proc is what the system tells of one process.
type proc struct {
	pid, parent, session int
	uid                  int
	// start is when it began, in a unit of the system's own: with the pid and
	// the boot it names a process for ever, which a pid alone doesn't.
	start uint64
	dead  bool // nobody has waited for it yet, but it runs no more
}

// identity names a process for ever, also after its pid was given to another.
type identity struct {
	Boot  string `json:"boot"`
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
}

// alive reports whether exactly this process still runs. Its pid may belong to
// another process by now, or to its own remains: pid 1 may never reap them.
func (id identity) alive(boot string) bool {
	if id.PID <= 0 || id.Boot != boot {
		return false
	}
	p, err := readProc(id.PID)
	return err == nil && !p.dead && p.start == id.Start
}

// myself is the identity of the calling process.
func myself(pid int) (identity, error) {
	boot, err := bootID()
	if err != nil {
		return identity{}, err
	}
	p, err := readProc(pid)
	if err != nil {
		return identity{}, err
	}
	return identity{Boot: boot, PID: pid, Start: p.start}, nil
}
