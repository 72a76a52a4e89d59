package main

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// proxy is what one writes with the standard library: backends in turn,
// connections kept, X-Forwarded-* set. Its arguments are two addresses, the second
// one for TLS by the two files that follow, "pooled" or not, and the backends.
func proxy(args []string) error {
	listen, secure, cert, key, pooled, backends := args[0], args[1], args[2], args[3], args[4] == "pooled", args[5:]
	var targets []*url.URL
	for _, b := range backends {
		targets = append(targets, &url.URL{Scheme: "http", Host: b})
	}
	var turn atomic.Uint64
	p := &httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 512, IdleConnTimeout: 90 * time.Second, DisableCompression: true},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(targets[turn.Add(1)%uint64(len(targets))])
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
	}
	if pooled {
		p.BufferPool = &buffers{}
	}
	errs := make(chan error, 2)
	go func() {
		errs <- (&http.Server{Addr: listen, Handler: p, ReadHeaderTimeout: 10 * time.Second}).ListenAndServe()
	}()
	go func() {
		errs <- (&http.Server{Addr: secure, Handler: p, ReadHeaderTimeout: 10 * time.Second}).ListenAndServeTLS(cert, key)
	}()
	return <-errs
}

type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if buf, ok := b.pool.Get().(*[]byte); ok {
		return *buf
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(buf []byte) { b.pool.Put(&buf) }
