package sample

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const eventPace = 100 * time.Millisecond

// events tells one number after the other, from the one behind Last-Event-ID on,
// every ?ms=N, until the client leaves or the program ends.
func (h *handler) events(w http.ResponseWriter, r *http.Request) {
	last, err := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	if err != nil {
		last = 0
	}
	pace := eventPace
	if ms, err := strconv.Atoi(r.URL.Query().Get("ms")); err == nil && ms > 0 {
		pace = time.Duration(ms) * time.Millisecond
	}
	h.sign(w)
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	ticks := time.NewTicker(pace)
	defer ticks.Stop()
	for n := last + 1; ; n++ {
		fmt.Fprintf(w, "id: %d\ndata: %s\n\n", n, h.config.Version)
		if out.Flush() != nil {
			return
		}
		select {
		case <-ticks.C:
		case <-r.Context().Done():
			return
		case <-h.ending.Done():
			return
		}
	}
}
