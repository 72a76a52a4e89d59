package cli

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// verifyTar reads an archive to its end. Each file in it must be there whole,
// and the archive must have been closed: one cut off between two files lacks the
// blocks of zeros.
func verifyTar(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	files := 0
	for r := tar.NewReader(f); ; files++ {
		if _, err := r.Next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if files == 0 {
		return fmt.Errorf("it holds nothing")
	}
	return closedTar(f)
}

// closedTar checks that the archive ends in two blocks of zeros.
func closedTar(f *os.File) error {
	end := make([]byte, 1024)
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.ReadAt(end, info.Size()-int64(len(end))); err != nil {
		return err
	}
	for _, b := range end {
		if b != 0 {
			return errors.New("its end is missing")
		}
	}
	return nil
}
