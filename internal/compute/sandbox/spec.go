package sandbox

// Spec is what Exec makes of the calling process.
type Spec struct {
	Root    string // resource.RootHost or resource.RootImage
	OS      string // absolute path of the instance's os/
	Data    string // absolute path of data/; root: image binds it at the same path
	Tmp     string // absolute path of a private folder, bound at /tmp by root: image; empty: a tmpfs
	WorkDir string // inside os/, as disk.Disk has it; empty: os/ itself
	// UID and GID are the instance's own, as root. As an ordinary user both are 0: nothing is changed.
	UID, GID int
	// Args is the program and its arguments, Env its whole environment.
	Args, Env []string
	// MaxProcs is RLIMIT_NPROC where no cgroup counts processes; 0: not limited.
	MaxProcs uint64
}
