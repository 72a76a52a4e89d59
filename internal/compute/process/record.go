package process

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/droverhq/drover/internal/compute"
	"github.com/droverhq/drover/internal/resource"
)

const recordFile = "record"

// record is what a launcher writes before it becomes the program, in a folder
// that the program cannot write: which process it is, and what it was made from.
type record struct {
	identity
	StartedAt time.Time    `json:"startedAt"`
	Spec      compute.Spec `json:"spec"`
	Ignored   []string     `json:"ignored,omitempty"`
	// Dropped are the privileges that its files have in the image and not here.
	Dropped resource.Dropped `json:"dropped,omitzero"`
	// Stopped: Drover ended it on purpose, so its end is no crash.
	Stopped bool `json:"stopped,omitempty"`
	// Failure and Reason: the launcher could not become the program.
	Failure string `json:"failure,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// errDamaged marks a record whose content isn't what was written.
var errDamaged = errors.New("damaged")

// A record is a line with the checksum of the rest, which is JSON.
func encodeRecord(r record) ([]byte, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode the record: %w", err)
	}
	sum := sha256.Sum256(body)
	return append(append([]byte(hex.EncodeToString(sum[:])), '\n'), body...), nil
}

func decodeRecord(text []byte) (record, error) {
	sum, body, found := bytes.Cut(text, []byte{'\n'})
	want := sha256.Sum256(body)
	if !found || string(sum) != hex.EncodeToString(want[:]) {
		return record{}, fmt.Errorf("%w: its checksum is wrong", errDamaged)
	}
	var r record
	if err := json.Unmarshal(body, &r); err != nil {
		return record{}, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return r, nil
}

// readRecord reads the record in an instance's folder; nil: there is none.
func readRecord(dir string) (*record, error) {
	text, err := os.ReadFile(filepath.Join(dir, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the record of %s: %w", dir, err)
	}
	r, err := decodeRecord(text)
	if err != nil {
		return nil, fmt.Errorf("the record of %s: %w", dir, err)
	}
	return &r, nil
}

// writeRecord puts the record in place whole and lasting, or not at all: a
// crash in the middle leaves the old one.
func writeRecord(dir string, r record) error {
	text, err := encodeRecord(r)
	if err != nil {
		return err
	}
	name := filepath.Join(dir, recordFile)
	if err := writeSynced(name+".new", text); err != nil {
		return fmt.Errorf("write the record of %s: %w", dir, err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("write the record of %s: %w", dir, err)
	}
	return syncDir(dir)
}

func writeSynced(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}

// setAside moves a damaged record out of the way and returns where it is now.
func setAside(dir string, now time.Time) (string, error) {
	name := filepath.Join(dir, recordFile)
	aside := name + ".damaged-" + now.UTC().Format("20060102T150405.000")
	if err := os.Rename(name, aside); err != nil {
		return "", fmt.Errorf("set the damaged record aside: %w", err)
	}
	return aside, syncDir(dir)
}
