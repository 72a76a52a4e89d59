package proxy

import (
	"bytes"
	"slices"

	"github.com/droverhq/drover/internal/gateway/h1"
	"github.com/droverhq/drover/internal/gateway/pool"
)

// maxKeys bounds the backends that one cookie is good for: those that the client
// was given a member of most recently.
const maxKeys = 16

var setCookie = []byte("Set-Cookie")

// appendKeys appends the keys in a request's cookies of that name.
func appendKeys(keys []pool.Key, r *h1.Request, name []byte) []pool.Key {
	for i := range r.Fields {
		if r.Fields[i].Kind != h1.Cookie {
			continue
		}
		var pair []byte
		for rest := r.Fields[i].Value; len(rest) > 0; {
			pair, rest, _ = bytes.Cut(rest, []byte(";"))
			n, value, _ := bytes.Cut(bytes.TrimSpace(pair), []byte("="))
			if bytes.Equal(n, name) {
				keys = appendKeysOf(keys, value)
			}
		}
	}
	return keys
}

func appendKeysOf(keys []pool.Key, value []byte) []pool.Key {
	var text []byte
	for len(value) > 0 && len(keys) < maxKeys {
		text, value, _ = bytes.Cut(value, []byte("."))
		if k, ok := pool.ParseKey(text); ok {
			keys = append(keys, k)
		}
	}
	return keys
}

// giveCookie adds to an answer what brings the client's next request to the member that
// gave it. Who came with that already is given nothing.
func (x *exchange) giveCookie() {
	mine := x.claim.Member.Key
	if x.config.Affinity == nil || mine == (pool.Key{}) || slices.Contains(x.keys, mine) {
		return
	}
	v := append(append(x.cookie[:0], x.config.Affinity...), '=')
	v = mine.AppendText(v)
	for n, k := range x.keys { // the client keeps the members of other backends
		if n < maxKeys-1 && !k.SameBackend(mine) {
			v = k.AppendText(append(v, '.'))
		}
	}
	v = append(v, "; Path=/; HttpOnly; SameSite=Lax"...)
	if bytes.EqualFold(scheme(x.req, x.from), httpsScheme) {
		v = append(v, "; Secure"...)
	}
	x.cookie = v
	x.resp.Fields = append(x.resp.Fields, h1.Field{Name: setCookie, Value: v, Kind: h1.SetCookie})
}
