package client

import (
	"io"
	"log"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"

	"github.com/droverhq/drover/internal/resource"
)

func TestPushImage(t *testing.T) {
	data := dataFolder(t)
	store := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	var without atomic.Int32
	serveSocket(t, data, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+adminToken {
			without.Add(1)
		}
		store.ServeHTTP(w, r)
	}))
	if err := newClient(t, Options{Data: data}).PushImage(t.Context(), "team/hello:1.0.0", empty.Image, nil); err != nil || without.Load() != 0 {
		t.Errorf("%v; %d requests without the token", err, without.Load())
	}
}

func TestPushImageWithoutServer(t *testing.T) {
	c := newClient(t, Options{Data: dataFolder(t), ConnectTimeout: 20 * time.Millisecond})
	err := c.PushImage(t.Context(), "hello:1.0.0", empty.Image, nil)
	if !resource.IsCode(err, resource.CodeUnavailable) || !strings.HasPrefix(err.Error(), "no server is running: tried the socket ") {
		t.Errorf("got %v", err)
	}
}
