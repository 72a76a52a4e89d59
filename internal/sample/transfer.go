package sample

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/droverhq/drover/internal/load"
)

// upload answers with the length and the SHA-256 of what came.
func (h *handler) upload(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	size, err := io.Copy(sum, r.Body)
	if err != nil || !h.noted(w, r) {
		return
	}
	fmt.Fprintf(w, "%d %x\n", size, sum.Sum(nil))
}

// download answers with ?bytes=N of the nonce's content, which has no length of its
// own when the query has &chunked.
func (h *handler) download(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	size, err := strconv.ParseInt(query.Get("bytes"), 10, 64)
	if err != nil || size < 0 {
		http.Error(w, "bytes is not a size", http.StatusBadRequest)
		return
	}
	if !h.noted(w, r) {
		return
	}
	if !query.Has("chunked") {
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	}
	_, _ = io.Copy(w, load.Content(r.Header.Get(load.NonceHeader), size)) // the client sees what it has not got
}
