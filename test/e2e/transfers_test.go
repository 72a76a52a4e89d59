package e2e

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/droverhq/drover/internal/load"
)

// Transfers take a while, so that some are always on their way, and not longer than
// their balancer's drain.
const (
	transferTime  = 4 * time.Second
	transferDrain = time.Minute
)

// paced spreads a transfer over its time, as far as the machine keeps up.
type paced struct {
	io.Reader
	size, n int64
	begun   time.Time
}

func newPaced(r io.Reader, size int64) *paced {
	return &paced{Reader: r, size: size, begun: time.Now()}
}

func (p *paced) Read(b []byte) (int, error) {
	due := p.begun.Add(time.Duration(float64(transferTime) * float64(p.n) / float64(p.size)))
	time.Sleep(time.Until(due))
	n, err := p.Reader.Read(b[:min(len(b), 256<<10)])
	p.n += int64(n)
	return n, err
}

func hashed(r io.Reader) (string, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	return fmt.Sprintf("%d %x\n", n, sum.Sum(nil)), err
}

// uploads sends contents of a size and checks what is said of them; every second
// one does not say its length.
func uploads(address string, by exchanger, size int64) func(context.Context, *visitor) error {
	n := 0
	return func(_ context.Context, v *visitor) (err error) {
		nonce := newNonce("upload")
		req, err := http.NewRequest(http.MethodPost, "http://"+address+"/upload", newPaced(load.Content(nonce, size), size))
		if err != nil {
			return err
		}
		req.ContentLength = size
		if n++; n%2 == 0 {
			req.ContentLength = -1
		}
		want, err := hashed(load.Content(nonce, size))
		if err != nil {
			return err
		}
		return transfer(by, v, req, nonce, func(body io.Reader) (string, error) {
			text, err := io.ReadAll(body)
			return string(text), err
		}, want)
	}
}

// downloads are the other way round.
func downloads(address string, by exchanger, size int64) func(context.Context, *visitor) error {
	n := 0
	return func(_ context.Context, v *visitor) (err error) {
		nonce := newNonce("download")
		query := ""
		if n++; n%2 == 0 {
			query = "&chunked"
		}
		req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/download?bytes=%d%s", address, size, query), nil)
		if err != nil {
			return err
		}
		want, err := hashed(load.Content(nonce, size))
		if err != nil {
			return err
		}
		return transfer(by, v, req, nonce, func(body io.Reader) (string, error) { return hashed(newPaced(body, size)) }, want)
	}
}

// transfer is one that is seen to its end, also when the load is over.
func transfer(by exchanger, v *visitor, req *http.Request, nonce string, read func(io.Reader) (string, error), want string) (err error) {
	req.Header.Set(load.NonceHeader, nonce)
	resp, err := by.do(context.Background(), req)
	defer func() { by.done(resp, err) }()
	if err != nil {
		return err
	}
	got, err := read(resp.Body)
	switch {
	case err != nil:
		return fmt.Errorf("read the answer's body: %w", err)
	case resp.StatusCode != http.StatusOK || got != want:
		return fmt.Errorf("%s: %.100q, not %q", resp.Status, got, want)
	}
	v.count()
	return nil
}
