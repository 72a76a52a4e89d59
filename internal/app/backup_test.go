package app

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

func TestBackupAndRestore(t *testing.T) {
	data := dataFolder(t)
	a := started(t, data)
	wantVersion(t, deploy(t, data, "1.0.0"), "1.0.0")
	ordered := filepath.Join(dirACME, "certificates", "ca", "a.example", "a.example.key")
	must(t, os.MkdirAll(filepath.Dir(filepath.Join(data, ordered)), 0o700))
	must(t, os.WriteFile(filepath.Join(data, ordered), []byte("secret"), 0o600))
	var backup bytes.Buffer
	must(t, a.backup(t.Context(), &backup))
	file := filepath.Join(t.TempDir(), "backup.tar")
	must(t, os.WriteFile(file, backup.Bytes(), 0o600))

	copied := dataFolder(t)
	must(t, Restore(t.Context(), copied, file))
	if key, err := os.ReadFile(filepath.Join(copied, ordered)); err != nil || string(key) != "secret" {
		t.Errorf("an ordered certificate's key: %q, %v", key, err)
	}
	if err := Restore(t.Context(), copied, file); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a second restore: %v", err)
	}
	started(t, copied)
	wantVersion(t, address(t, clientOf(t, copied)), "1.0.0")
}

// A killed restore leaves a folder that no server takes and that the next restore clears.
func TestAnInterruptedRestoreBeginsAnew(t *testing.T) {
	data := dataFolder(t)
	must(t, os.MkdirAll(filepath.Join(data, dirRegistry), 0o711))
	must(t, os.WriteFile(filepath.Join(data, restoreMark), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(data, backupDocuments), []byte("half"), 0o600))
	if err := newApp(t, data).Start(t.Context()); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("a server starts on it: %v", err)
	}
	release, err := takeEmpty(data)
	must(t, err)
	must(t, os.Remove(filepath.Join(data, store.LockFile)))
	must(t, release())
	if entries, err := os.ReadDir(data); err != nil || len(entries) > 0 {
		t.Errorf("left %v %v", entries, err)
	}
}

func TestRestoreRefusesWhatIsNoBackup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "backup.tar")
	must(t, os.WriteFile(file, []byte("garbage"), 0o600))
	data := dataFolder(t)
	if err := Restore(t.Context(), data, file); err == nil {
		t.Error("garbage was restored")
	}
	if entries, err := os.ReadDir(data); err != nil || len(entries) > 0 {
		t.Errorf("left %v %v", entries, err)
	}
}

// A byte that changed anywhere in a backup, or a file that is missing from it, is
// found before anything is served from it.
func TestRestoreRefusesADamagedBackup(t *testing.T) {
	whole, err := os.ReadFile(backupOf(t))
	must(t, err)
	var names []string
	for r := tar.NewReader(bytes.NewReader(whole)); ; {
		h, err := r.Next()
		if err != nil {
			break
		}
		names = append(names, h.Name)
	}
	for _, name := range names {
		damaged := bytes.Clone(whole)
		at := bytes.Index(damaged, append([]byte(name), 0)) + 512
		damaged[at+20] ^= 1
		file := filepath.Join(t.TempDir(), "backup.tar")
		must(t, os.WriteFile(file, damaged, 0o600))
		data := dataFolder(t)
		if err := Restore(t.Context(), data, file); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s was damaged: %v", name, err)
		}
		if entries, err := os.ReadDir(data); err != nil || len(entries) > 0 {
			t.Errorf("left %v %v", entries, err)
		}
	}
}

// While a server or another restore has the folder, nothing in it is touched.
func TestRestoreIntoAFolderInUse(t *testing.T) {
	data := dataFolder(t)
	must(t, os.Mkdir(data, 0o711))
	release, err := store.Hold(data)
	must(t, err)
	defer release()
	must(t, os.WriteFile(filepath.Join(data, restoreMark), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(data, backupDocuments), []byte("half"), 0o600))
	if err := Restore(t.Context(), data, backupOf(t)); !resource.IsCode(err, resource.CodeInUse) {
		t.Errorf("restored into a folder in use: %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(data, backupDocuments)); string(text) != "half" {
		t.Errorf("documents are %q, %v", text, err)
	}
}

// Of many restores at once one succeeds, and none takes away what it restored.
func TestRestoresSideBySide(t *testing.T) {
	data, file := dataFolder(t), backupOf(t)
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = Restore(t.Context(), data, file) })
	}
	wg.Wait()
	done := 0
	for _, err := range errs {
		if err == nil {
			done++
		}
	}
	if done != 1 {
		t.Errorf("%d succeeded: %v", done, errs)
	}
	must(t, restored(data))
	a := started(t, data)
	if r := a.store.Recovery(); r != nil {
		t.Errorf("the store was damaged: %s", r)
	}
}

// backupOf makes a backup of a server with nothing in it.
func backupOf(t *testing.T) string {
	t.Helper()
	a := started(t, dataFolder(t))
	var backup bytes.Buffer
	must(t, a.backup(t.Context(), &backup))
	file := filepath.Join(t.TempDir(), "backup.tar")
	must(t, os.WriteFile(file, backup.Bytes(), 0o600))
	return file
}
