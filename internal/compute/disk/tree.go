package disk

import (
	"path"
	"strings"
)

// tree is what an image's layers come to, laid over each other: a pure value.
// Names from layers only ever walk in it, so none becomes a path of this machine
// before all layers have been looked at.
type tree struct {
	root  *node
	nodes int
	limit int
}

// node is a folder (children is not nil), a symbolic link (content is nil) or a file.
type node struct {
	children map[string]*node
	link     string
	content  *content
}

// content is one file of the cache. Hard links share it.
type content struct {
	path string // in the cache
	entry
	links int
}

func (n *node) isDir() bool { return n.children != nil }

func newTree(limit int) *tree {
	return &tree{root: &node{children: map[string]*node{}}, limit: limit}
}

// apply lays one layer over what is there. Whiteouts come first whatever their
// place in the layer: they are about lower layers only.
func (t *tree) apply(m *manifest) error {
	for _, e := range m.Entries {
		if err := t.hide(e); err != nil {
			return err
		}
	}
	for _, e := range m.Entries {
		if e.Kind == kindWhiteout || e.Kind == kindOpaque {
			continue
		}
		if err := t.add(e, m); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) hide(e entry) error {
	switch e.Kind {
	case kindWhiteout:
		dir, base, err := t.parent(e.Name, false)
		if err != nil || dir == nil {
			return err
		}
		delete(dir.children, base)
	case kindOpaque:
		n, err := t.find(e.Name)
		switch {
		case err != nil || n == nil:
			return err
		case !n.isDir():
			return refusal(e.Name, "it is a %s, and what is in it is to be hidden", n.noun())
		}
		clear(n.children)
	}
	return nil
}

func (t *tree) add(e entry, m *manifest) error {
	if e.Name == "" {
		return nil // the root itself: nothing of it is taken over
	}
	dir, base, err := t.parent(e.Name, true)
	if err != nil {
		return err
	}
	old := dir.children[base]
	if e.Kind == kindDir && old != nil && old.isDir() {
		return nil
	}
	n, err := t.make(e, m)
	if err != nil {
		return err
	}
	dir.children[base] = n
	return t.grow(e.Name)
}

func (t *tree) make(e entry, m *manifest) (*node, error) {
	switch e.Kind {
	case kindDir:
		return &node{children: map[string]*node{}}, nil
	case kindSymlink:
		return &node{link: e.Link}, nil
	case kindFile:
		return &node{content: &content{path: m.file(e.File), entry: e, links: 1}}, nil
	}
	target, err := t.find(e.Link)
	switch {
	case err != nil:
		return nil, err
	case target == nil:
		return nil, refusal(e.Name, "its hard link's target %q is not there", e.Link)
	case target.isDir():
		return nil, refusal(e.Name, "its hard link's target %q is a folder", e.Link)
	case target.content != nil:
		target.content.links++
	}
	return &node{link: target.link, content: target.content}, nil
}

// grow counts a node. Folders that names only imply count too, or a few long
// names could fill the memory.
func (t *tree) grow(name string) error {
	if t.nodes++; t.nodes > t.limit {
		return refusal(name, "the image holds more than %d entries", t.limit)
	}
	return nil
}

// parent finds the folder that holds name, making missing ones if asked.
// Going through a link is refused: where it leads is for the workload to say.
func (t *tree) parent(name string, make bool) (dir *node, base string, err error) {
	dir, base = t.root, path.Base(name)
	folders := strings.TrimSuffix(strings.TrimSuffix(name, base), "/")
	if folders == "" {
		return dir, base, nil
	}
	for part := range strings.SplitSeq(folders, "/") {
		next := dir.children[part]
		switch {
		case next == nil && !make:
			return nil, "", nil
		case next == nil:
			next = &node{children: map[string]*node{}}
			dir.children[part] = next
			if err := t.grow(name); err != nil {
				return nil, "", err
			}
		case !next.isDir():
			return nil, "", refusal(name, "it goes through %q, which is a %s", part, next.noun())
		}
		dir = next
	}
	return dir, base, nil
}

func (t *tree) find(name string) (*node, error) {
	if name == "" {
		return t.root, nil
	}
	dir, base, err := t.parent(name, false)
	if err != nil || dir == nil {
		return nil, err
	}
	return dir.children[base], nil
}

func (n *node) noun() string {
	switch {
	case n.isDir():
		return "folder"
	case n.content != nil:
		return "file"
	}
	return "symbolic link"
}

const maxLinks = 40 // as the kernel has it

// resolve follows name as a process would whose root is this tree. It returns
// the real name, and nil where nothing is there; ".." stops at the root.
func (t *tree) resolve(name string) (real string, n *node) {
	var at []string // the folders walked so far
	todo := strings.Split(name, "/")
	for links := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = at[:max(0, len(at)-1)]
			continue
		}
		next, err := t.find(strings.Join(append(at[:len(at):len(at)], part), "/"))
		if err != nil || next == nil {
			return "", nil
		}
		if next.isDir() || next.content != nil {
			at = append(at, part)
			continue
		}
		if links++; links > maxLinks {
			return "", nil
		}
		if strings.HasPrefix(next.link, "/") {
			at = nil
		}
		todo = append(strings.Split(next.link, "/"), todo...)
	}
	real = strings.Join(at, "/")
	n, _ = t.find(real)
	return real, n
}
