package gallery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"

	"github.com/droverhq/drover/internal/resource"
)

func TestPushesAreRefusedBeforeTheDiskIsFull(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	d := p.mustPush("hello", "1.0.0", "one")
	blob := p.imageManifest("hello", "two")
	location := p.absolute(p.do(http.MethodPost, "/v2/hello/blobs/uploads/", everything, "", nil).header.Get("Location"))
	p.driver.space.floor = math.MaxInt64 / 2
	for name, a := range map[string]answer{
		"start":    p.do(http.MethodPost, "/v2/hello/blobs/uploads/", everything, "", nil),
		"chunk":    p.do(http.MethodPatch, location, everything, "application/octet-stream", []byte("x")),
		"end":      p.do(http.MethodPut, location+"&digest="+digestOf([]byte("x")), everything, "", []byte("x")),
		"manifest": p.putManifest("hello", "2.0.0", blob),
		"tag":      p.putManifest("hello", "stable", blob),
	} {
		if a.status != http.StatusInsufficientStorage || a.code() != "insufficient_storage" {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if a := p.do(http.MethodGet, "/v2/hello/manifests/1.0.0", everything, "", nil); a.status != http.StatusOK {
		t.Errorf("a pull: %+v", a)
	}
	if a := p.do(http.MethodDelete, "/v2/hello/manifests/"+d, everything, "", nil); a.status != http.StatusAccepted {
		t.Errorf("a deletion: %+v", a)
	}
}

// fullDisk lets a driver write for a while.
type fullDisk struct {
	storagedriver.StorageDriver
	left int
}

func (f *fullDisk) Writer(ctx context.Context, path string, appending bool) (storagedriver.FileWriter, error) {
	w, err := f.StorageDriver.Writer(ctx, path, appending)
	return &fullWriter{w, f}, err
}

func (f *fullDisk) PutContent(ctx context.Context, path string, content []byte) error {
	if f.left -= len(content); f.left < 0 {
		return storagedriver.Error{DriverName: "filesystem", Detail: fmt.Errorf("write %s: %w", path, syscall.ENOSPC)}
	}
	return f.StorageDriver.PutContent(ctx, path, content)
}

type fullWriter struct {
	storagedriver.FileWriter
	disk *fullDisk
}

func (w *fullWriter) Write(p []byte) (int, error) {
	if w.disk.left -= len(p); w.disk.left < 0 {
		return 0, syscall.ENOSPC
	}
	return w.FileWriter.Write(p)
}

// Close and Commit fail where a write was only buffered.
func (w *fullWriter) Close() error {
	err := w.FileWriter.Close()
	if w.disk.left < 0 {
		return syscall.EDQUOT
	}
	return err
}

func TestDiskThatFillsUpDuringAPush(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("x"), 100_000)
	for _, chunked := range []bool{true, false} {
		for left := 0; left < 110_000; left += 10_000 {
			t.Run(fmt.Sprintf("%v %d", chunked, left), func(t *testing.T) {
				p := newPlace(t)
				location := p.absolute(p.do(http.MethodPost, "/v2/hello/blobs/uploads/", everything, "", nil).header.Get("Location"))
				disk := &fullDisk{p.driver.StorageDriver, left}
				p.driver.StorageDriver = disk
				var a answer
				if chunked {
					a = p.do(http.MethodPatch, location, everything, "application/octet-stream", content)
				} else {
					a = p.do(http.MethodPut, location+"&digest="+digestOf(content), everything, "application/octet-stream", content)
				}
				if a.status != http.StatusInsufficientStorage && (disk.left < 0 || a.status >= 300) {
					t.Fatalf("%+v", a)
				}
				if a.status != http.StatusInsufficientStorage {
					return
				}
				if a.header.Get("Location") != "" || a.code() != "insufficient_storage" {
					t.Errorf("%+v", a)
				}
				left, err := filepath.Glob(p.driver.full(uploadPath("hello", "*")))
				if err != nil || len(left) > 0 {
					t.Errorf("the upload takes space still: %v %v", left, err)
				}
				p.driver.StorageDriver = disk.StorageDriver
				p.mustPush("hello", "1.0.0", "all is well after space is freed")
			})
		}
	}
}

func TestManifestThatDoesNotFit(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	m := p.imageManifest("hello", "one")
	whole := p.driver.StorageDriver
	p.driver.StorageDriver = &fullDisk{whole, 10}
	if a := p.putManifest("hello", "1.0.0", m); a.status != http.StatusInsufficientStorage {
		t.Fatalf("%+v", a)
	}
	p.driver.StorageDriver = whole
	p.reconcileAll()
	if _, ok := p.version("hello:1.0.0"); ok {
		t.Fatal("a refused push became a version")
	}
	p.mustPush("hello", "1.0.0", "other")
}

func TestBlobsHaveALargestSize(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	w := &boundedWriter{FileWriter: sized(maxBlob), ctx: t.Context(), space: p.driver.space}
	if _, err := w.Write([]byte("x")); resource.CodeOf(err) != resource.CodeTooLarge {
		t.Fatal(err)
	}
}

type sized int64

func (s sized) Write(p []byte) (int, error)  { return len(p), nil }
func (s sized) Size() int64                  { return int64(s) }
func (s sized) Close() error                 { return nil }
func (s sized) Cancel(context.Context) error { return nil }
func (s sized) Commit(context.Context) error { return nil }

func TestAbandonedUploadsAreRemoved(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.mustPush("hello", "1.0.0", "one")
	start := func(image string) string {
		a := p.do(http.MethodPost, "/v2/"+image+"/blobs/uploads/", everything, "", nil)
		id := a.header.Get("Docker-Upload-UUID")
		if id == "" {
			id = filepath.Base(strings.Split(a.header.Get("Location"), "?")[0])
		}
		return p.driver.full(uploadPath(image, id))
	}
	old, fresh := start("team/hello"), start("hello")
	then := time.Now().Add(-2 * uploadLife)
	err := filepath.WalkDir(old, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(path, then, then))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.purge(t.Context(), time.Now().Add(-uploadLife)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("the abandoned one: %v", err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("the fresh one: %v", err)
	}
	if a := p.do(http.MethodGet, "/v2/hello/manifests/1.0.0", everything, "", nil); a.status != http.StatusOK {
		t.Errorf("%+v", a)
	}
	empty := newPlace(t)
	if err := empty.purge(t.Context(), time.Now()); err != nil {
		t.Errorf("where nothing was ever pushed: %v", err)
	}
}

func TestStoreWithoutSpaceIsSaid(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	if err := p.store.Close(); err != nil {
		t.Fatal(err)
	}
	m := p.imageManifest("hello", "one")
	if a := p.putManifest("hello", "1.0.0", m); a.status != http.StatusServiceUnavailable {
		t.Fatalf("with a closed store: %+v", a)
	}
}
