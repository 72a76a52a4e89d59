package disk

import (
	"archive/tar"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

func TestHostileLayersAreRefused(t *testing.T) {
	raw := func(h tar.Header) layer { return layer{entries: []tar.Header{h}} }
	long := strings.Repeat("long/", maxName/5+1)
	tests := map[string][]layer{
		"up":                                        {of("../canary=x")},
		"up in the middle":                          {of("a/../../canary=x")},
		"up, but not out":                           {of("a/../b=x")},
		"absolute":                                  {of("/canary=x")},
		"absolute with a dot":                       {of("//./canary=x")},
		"through a link":                            {of("out->..", "out/canary=x")},
		"through a link of a lower layer":           {of("out->.."), of("out/canary=x")},
		"through a link put in a folder's place":    {of("d/", "d/a=1"), of("d->..", "d/canary=x")},
		"through a link to somewhere inside":        {of("usr/bin/", "bin->usr/bin"), of("bin/tool=x")},
		"a folder through a link":                   {of("out->..", "out/canary/")},
		"a link through a link":                     {of("out->..", "out/canary->x")},
		"through a file":                            {of("f=1", "f/canary=x")},
		"whiteout through a link":                   {of("out->.."), of("-out/canary")},
		"opaque through a link":                     {of("out->.."), of("-out/in/*")},
		"whiteout of the parent":                    {of(".wh...=")},
		"whiteout of the folder":                    {of("d/.wh..=")},
		"whiteout of nothing":                       {of(".wh.=")},
		"whiteout that goes up":                     {of("../.wh.canary=")},
		"hard link outside":                         {of("a~../canary")},
		"hard link to an absolute name":             {of("a~/etc/passwd")},
		"hard link through a link":                  {of("out->..", "a~out/canary")},
		"hard link to a folder":                     {of("d/", "a~d")},
		"hard link to the root":                     {of("a~.")},
		"hard link to nothing":                      {of("a~b")},
		"hard link to what comes later":             {of("a~b", "b=1")},
		"hard link to what is hidden":               {of("a=1"), of("-a", "b~a")},
		"a character device":                        {raw(tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3})},
		"a block device":                            {raw(tar.Header{Name: "disk", Typeflag: tar.TypeBlock, Devmajor: 8})},
		"a named pipe":                              {raw(tar.Header{Name: "pipe", Typeflag: tar.TypeFifo})},
		"the root as a link":                        {of("./->..")},
		"the root as a file":                        {raw(tar.Header{Name: ".", Typeflag: tar.TypeReg})},
		"a link to nowhere":                         {raw(tar.Header{Name: "a", Typeflag: tar.TypeSymlink})},
		"a name that is too long":                   {of(long + "x=x")},
		"a part that is too long":                   {of(strings.Repeat("x", 256) + "=x")},
		"a link that is too long":                   {of("a->" + long)},
		"more entries than allowed":                 {of(slices.Repeat([]string{"a=1"}, 101)...)},
		"more implied folders than allowed":         {of(strings.Repeat("d/", 101) + "a=1")},
		"more entries than allowed in all layers":   {of(numbered(0, 60)...), of(numbered(60, 120)...)},
		"a file larger than allowed":                {of("a=" + strings.Repeat("x", 1<<20+1))},
		"files larger than allowed in all layers":   {of("a=" + strings.Repeat("x", 1<<19+1)), of("b=" + strings.Repeat("x", 1<<19+1))},
		"a bomb after the archive's end":            {{raw: make([]byte, 4<<20)}},
		"a header that promises more than is there": {{raw: of("a=" + strings.Repeat("x", 3000)).tar()[:1024]}},
		"not an archive":                            {{raw: []byte(strings.Repeat("not a tar ", 200))}},
	}
	for name, layers := range tests {
		t.Run(name, func(t *testing.T) {
			g := newGround(t, Limits{Entries: 100, Bytes: 1 << 20})
			sp := g.spec("set_1", g.push(ocispec.ImageConfig{}, layers...))
			_, err := g.Prepare(t.Context(), sp)
			if err == nil {
				t.Fatalf("accepted: %q", list(t, filepath.Join(sp.InstanceDir, osName)))
			}
			if !errors.Is(err, ErrRefused) {
				t.Errorf("the error does not say that it is refused: %v", err)
			}
			g.wantNothingLeft(sp)
		})
	}
}

func numbered(from, to int) (items []string) {
	for i := from; i < to; i++ {
		items = append(items, fmt.Sprintf("%d=", i))
	}
	return items
}

// wantNothingLeft: a failed Prepare leaves the instance's own folders and nothing else.
func (g *ground) wantNothingLeft(sp Spec) {
	g.t.Helper()
	for _, item := range list(g.t, sp.InstanceDir) {
		if !strings.HasPrefix(item, "data/") && !strings.HasPrefix(item, "tmp/") {
			g.t.Errorf("left in the instance's folder: %s", item)
		}
	}
	for _, dir := range []string{g.workDir(), g.trashDir()} {
		if left := list(g.t, dir); len(left) > 0 {
			g.t.Errorf("left in %s: %q", dir, left)
		}
	}
	if _, err := os.Lstat(filepath.Join(g.dir, "instances", "set", "canary")); !errors.Is(err, fs.ErrNotExist) {
		g.t.Error("a file outside was made")
	}
}

func TestPrivilegesAreDroppedAndCounted(t *testing.T) {
	g := newGround(t, Limits{})
	l := layer{entries: []tar.Header{
		{Name: "su", Typeflag: tar.TypeReg, Mode: 0o4755},
		{Name: "wall", Typeflag: tar.TypeReg, Mode: 0o2755},
		{Name: "both", Typeflag: tar.TypeReg, Mode: 0o6711, Uid: 1000, Gid: 1000},
		{Name: "mail", Typeflag: tar.TypeDir, Mode: 0o3777},
		{Name: "ping", Typeflag: tar.TypeReg, Mode: 0o755, PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02"}},
	}}
	sp := g.spec("set_1", g.push(ocispec.ImageConfig{}, l, of("su=harmless")))
	d := g.prepare(sp)
	if want := (Dropped{Setuid: 2, Setgid: 3, Capabilities: 1}); d.Dropped != want {
		t.Errorf("dropped %+v, want %+v", d.Dropped, want)
	}
	want := []string{"both*=", "mail/", "ping*=", "su=harmless", "wall*="}
	if diff := cmp.Diff(want, list(t, filepath.Join(sp.InstanceDir, osName))); diff != "" {
		t.Error(diff)
	}
	if _, err := unix.Getxattr(filepath.Join(sp.InstanceDir, osName, "ping"), "security.capability", nil); err == nil {
		t.Error("the capability is there")
	}
}
