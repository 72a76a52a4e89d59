package disk

import (
	"archive/tar"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

type kind uint8

const (
	kindDir kind = iota
	kindFile
	kindSymlink
	kindHardlink
	kindWhiteout // Name goes, as far as lower layers made it
	kindOpaque   // all that lower layers put into Name goes
)

// entry is one line of a layer, with a name that has been checked. Fields are
// exported for gob, which keeps names that are not UTF-8 as they are.
type entry struct {
	Name    string // relative, clean, without "..", slash-separated; "" is the root
	Kind    kind
	Link    string // a symbolic link's text as it is, or the checked name a hard link points to
	File    int    // number of the file in the cached layer that holds the content
	Size    int64
	Sum     [32]byte // SHA-256 of the content
	Exec    bool
	ModTime int64 // nanoseconds since 1970
}

// perm is a file's mode, the same for everyone because the file may be shared:
// readable by all, executable by all or none, written by none.
func (e *entry) perm() fs.FileMode {
	if e.Exec {
		return 0o555
	}
	return 0o444
}

const (
	maxName      = 3072 // leaves room for the instance's folder in front, PATH_MAX is 4096
	maxComponent = 255
	whiteout     = ".wh."
	opaque       = ".wh..wh..opq"
	metadata     = ".wh..wh." // aufs's own files, which mean nothing to us
)

// cleanName checks a name that a layer gave. It is refused rather than repaired:
// what a name like that meant to do is not for us to guess.
func cleanName(name string) (string, error) {
	switch {
	case strings.HasPrefix(name, "/"):
		return "", refusal(name, "the name is absolute")
	case strings.ContainsRune(name, 0):
		return "", refusal(name, "the name holds a NUL")
	case len(name) > maxName:
		return "", refusal(name[:64]+"…", "the name is longer than %d bytes", maxName)
	}
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "" || part == ".":
		case part == "..":
			return "", refusal(name, `the name holds ".."`)
		case len(part) > maxComponent:
			return "", refusal(name, "a part of the name is longer than %d bytes", maxComponent)
		default:
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "/"), nil
}

// newEntry turns a tar header into an entry; ok is false for one that means nothing to us.
func newEntry(h *tar.Header) (e entry, ok bool, err error) {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return e, false, nil
	}
	name, err := cleanName(h.Name)
	if err != nil {
		return e, false, err
	}
	if base := path.Base(name); strings.HasPrefix(base, whiteout) {
		return newWhiteout(name, base)
	}
	e = entry{Name: name, Exec: h.Mode&0o111 != 0, ModTime: h.ModTime.UnixNano()}
	switch h.Typeflag {
	case tar.TypeDir:
		e.Kind = kindDir
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		e.Kind, e.Size = kindFile, h.Size
	case tar.TypeSymlink:
		e.Kind, e.Link, err = kindSymlink, h.Linkname, checkLink(name, h.Linkname)
	case tar.TypeLink:
		e.Kind = kindHardlink
		e.Link, err = cleanName(h.Linkname)
	case tar.TypeChar, tar.TypeBlock:
		err = refusal(name, "it is a device node")
	case tar.TypeFifo:
		err = refusal(name, "it is a named pipe")
	default:
		err = refusal(name, "its type %q is unknown", h.Typeflag)
	}
	if err == nil && name == "" && e.Kind != kindDir {
		err = refusal("/", "the root must be a folder")
	}
	return e, err == nil, err
}

func newWhiteout(name, base string) (e entry, ok bool, err error) {
	dir := strings.TrimSuffix(strings.TrimSuffix(name, base), "/")
	target := strings.TrimPrefix(base, whiteout)
	switch {
	case base == opaque:
		return entry{Kind: kindOpaque, Name: dir}, true, nil
	case strings.HasPrefix(base, metadata):
		return e, false, nil
	case target == "" || target == "." || target == "..":
		return e, false, refusal(name, "the whiteout names no entry")
	}
	return entry{Kind: kindWhiteout, Name: path.Join(dir, target)}, true, nil
}

// checkLink looks only at whether the system can store the text: a link may
// point anywhere, it is never followed.
func checkLink(name, text string) error {
	if text == "" || len(text) > maxName || strings.ContainsRune(text, 0) {
		return refusal(name, "the symbolic link's target is empty, too long or holds a NUL")
	}
	return nil
}

func refusal(name, format string, args ...any) error {
	return fmt.Errorf("entry %q: %s: %w", name, fmt.Sprintf(format, args...), ErrRefused)
}

const (
	modeSetuid = 0o4000
	modeSetgid = 0o2000
)

// count adds what is dropped from this entry.
func (d *Dropped) count(h *tar.Header) {
	if h.Mode&modeSetuid != 0 {
		d.Setuid++
	}
	if h.Mode&modeSetgid != 0 {
		d.Setgid++
	}
	if _, ok := h.PAXRecords["SCHILY.xattr.security.capability"]; ok {
		d.Capabilities++
	}
}

func (d *Dropped) add(o Dropped) {
	d.Setuid += o.Setuid
	d.Setgid += o.Setgid
	d.Capabilities += o.Capabilities
}
