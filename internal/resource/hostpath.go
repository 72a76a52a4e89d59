package resource

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
)

// HostPaths says which files of the machine documents may name.
type HostPaths struct {
	// Data is Drover's data folder: nothing in it, whoever asks.
	Data string `json:"data,omitempty"`
	// Folders are those below which whoever may write a document may name files.
	// Elsewhere only an Owner may.
	Folders []string `json:"folders,omitempty"`
}

// HostFile is a file that a document names.
type HostFile struct {
	Pointer, Path string
	// Made: it is written, and need not be there yet.
	Made bool
}

// Folder is the one of Folders that a path is below; empty: none.
func (h HostPaths) Folder(path string) (folder string) {
	for _, f := range h.Folders {
		if below(f, path) && (folder == "" || len(f) < len(folder)) {
			folder = f
		}
	}
	return folder
}

// Holds says whether a path is in Drover's data folder, or is that.
func (h HostPaths) Holds(path string) bool {
	return h.Data != "" && (path == filepath.Clean(h.Data) || below(h.Data, path))
}

// Allow says why a path may not be named: not by anybody, or only by an Owner. What
// links make of it is found out when the file is opened.
func (h HostPaths) Allow(path string, owner bool) error {
	switch {
	case h.Holds(path):
		return fmt.Errorf("%s is in Drover's own data folder: name a file elsewhere", quote(path))
	case owner || h.Folder(path) != "":
		return nil
	case len(h.Folders) == 0:
		return fmt.Errorf("only an Owner may name %s: start the server with --host-path FOLDER to let others name files below a folder", quote(path))
	}
	return fmt.Errorf("only an Owner may name %s: it is not below a folder that the server was given with --host-path (%s)", quote(path), strings.Join(h.Folders, ", "))
}

// below says whether path is in folder, at any depth. Both are absolute, path is clean.
func below(folder, path string) bool {
	folder = strings.TrimSuffix(filepath.Clean(folder), "/") + "/"
	return len(path) > len(folder) && strings.HasPrefix(path, folder)
}

// maxHostPath is what systems take.
const maxHostPath = 1023

// checkHostPath checks the path of a file on the machine.
func (c *checker) checkHostPath(at, path, example string) {
	switch {
	case path == "":
		c.add(at, "expected the path of a file, for example %s", example)
	case path[0] != '/':
		c.add(at, "%s is not an absolute path: it begins with /", quote(path))
	case len(path) > maxHostPath || strings.ContainsRune(path, 0):
		c.add(at, "the path is longer than %d bytes or has a NUL byte", maxHostPath)
	case strings.HasSuffix(path, "/"):
		c.add(at, "%s names a folder: write the path of a file", quote(path))
	case filepath.Clean(path) != path:
		c.add(at, "%s is not written as it is meant: write %s", quote(path), filepath.Clean(path))
	}
}

// HostFiles are the files of the machine that a document names.
func HostFiles(d Document) []HostFile {
	if d.Kind != KindLoadBalancer {
		return nil
	}
	var spec LoadBalancerSpec
	if json.Unmarshal(d.Spec, &spec) != nil {
		return nil
	}
	return spec.hostFiles()
}

func (s LoadBalancerSpec) hostFiles() (files []HostFile) {
	if s.AccessLog != nil {
		files = append(files, HostFile{Pointer: "/spec/accessLog/file", Path: s.AccessLog.File, Made: true})
	}
	return append(files, s.TLS.hostFiles()...)
}
