package certificate

import (
	"crypto/tls"
	"errors"
	"strings"
)

// table finds certificates by name. It is never changed.
type table struct {
	all    []*tls.Certificate
	byName map[string][]*tls.Certificate // *.shop.example is kept as .shop.example
}

func newTable(list []*tls.Certificate) *table {
	t := &table{all: list, byName: map[string][]*tls.Certificate{}}
	for _, c := range list {
		for _, name := range c.Leaf.DNSNames {
			name = strings.TrimPrefix(strings.ToLower(name), "*")
			t.byName[name] = append(t.byName[name], c)
		}
	}
	return t
}

var errNone = errors.New("there is no certificate")

func (t *table) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if len(t.all) == 0 {
		return nil, errNone
	}
	list := t.named(strings.TrimSuffix(strings.ToLower(hello.ServerName), "."))
	for _, c := range list {
		if hello.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	if len(list) > 0 {
		return list[0], nil
	}
	return t.all[0], nil
}

// named are those for a name: an asterisk stands for one label.
func (t *table) named(name string) []*tls.Certificate {
	if strings.HasPrefix(name, ".") {
		return nil
	}
	if list := t.byName[name]; list != nil {
		return list
	}
	if i := strings.IndexByte(name, '.'); i > 0 {
		return t.byName[name[i:]]
	}
	return nil
}
