package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/gateway/pool"
	"github.com/droverhq/drover/internal/gateway/upstream"
	"github.com/droverhq/drover/internal/resource"
)

// withKey gives a member that is in service a key.
func (g *rig) withKey(m *pool.Member) *pool.Member {
	g.pool.Remove(m)
	fresh := &pool.Member{
		Name: m.Name, Colour: m.Colour, Version: m.Version, Backend: m.Backend, Counters: m.Counters,
		Key: pool.KeyOf([]byte("secret"), "front", "hello", m.Name),
	}
	g.members[m.Name] = fresh
	g.pool.Add(fresh, resource.AdmissionInService, true)
	return fresh
}

func sticky(c *Config) { c.Affinity = []byte("at") }

func named(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "own", Value: name})
		fmt.Fprintf(w, "%s %s", name, strings.Join(r.Header.Values("Cookie"), "; "))
	})
}

// browser asks with the cookies that it has.
type browser struct {
	g       *rig
	cookies []string
}

// ask says who answered, what cookies it saw, and the cookie that was set for affinity.
func (b *browser) ask() (who, saw string, set *http.Cookie) {
	b.g.t.Helper()
	req, err := http.NewRequest("GET", b.g.url("/"), nil)
	if err != nil {
		b.g.t.Fatal(err)
	}
	for _, c := range b.cookies {
		req.Header.Add("Cookie", c)
	}
	resp, err := b.g.client().Do(req)
	if err != nil {
		b.g.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.g.t.Fatalf("%s: %s, %v", resp.Status, body, err)
	}
	for _, c := range resp.Cookies() {
		if c.Name == "at" {
			set = c
		}
	}
	if own := resp.Header.Values("Set-Cookie")[0]; !strings.HasPrefix(own, "own=") {
		b.g.t.Errorf("the program's own cookie became %q", own)
	}
	who, saw, _ = strings.Cut(string(body), " ")
	return who, saw, set
}

func TestAClientStaysWithItsInstance(t *testing.T) {
	g := newRig(t, sticky)
	for _, name := range []string{"a", "b", "c"} {
		g.withKey(g.serve(name, named(name)))
	}
	b := &browser{g: g}
	first, _, set := b.ask()
	if set == nil {
		t.Fatal("no cookie")
	}
	if !set.HttpOnly || set.SameSite != http.SameSiteLaxMode || set.Path != "/" || set.Secure || set.MaxAge != 0 || !set.Expires.IsZero() {
		t.Errorf("the cookie is %s", set)
	}
	if strings.Contains(set.Value, first) || len(set.Value) != 24 {
		t.Errorf("the value is %q", set.Value)
	}
	b.cookies = []string{"x=y", "z=1; at=" + set.Value}
	for range 10 {
		who, saw, again := b.ask()
		if who != first || again != nil {
			t.Fatalf("went to %s instead of %s, and was given %v", who, first, again)
		}
		if !strings.Contains(saw, "at="+set.Value) {
			t.Errorf("the program saw %q", saw)
		}
	}
	others := map[string]bool{}
	for range 9 {
		who, _, _ := (&browser{g: g}).ask()
		others[who] = true
	}
	if len(others) != 3 {
		t.Errorf("new clients went to %v", others)
	}
}

// Whatever becomes of an instance, its clients go on with another one, at once.
func TestAClientWhoseInstanceCannotBePicked(t *testing.T) {
	for name, change := range map[string]func(g *rig, m *pool.Member){
		"draining":  func(g *rig, m *pool.Member) { g.pool.Admit(m, resource.AdmissionDraining) },
		"out":       func(g *rig, m *pool.Member) { g.pool.Admit(m, resource.AdmissionOut) },
		"unhealthy": func(g *rig, m *pool.Member) { g.pool.Observe(m, false, false) },
		"gone":      func(g *rig, m *pool.Member) { g.pool.Remove(m) },
		"refuses": func(g *rig, m *pool.Member) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l.Close()
			m.Backend.Retire(true)
			m.Backend = upstream.New(l.Addr().String(), 0, nil)
			g.withKey(m)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sticky)
			for _, name := range []string{"a", "b"} {
				g.withKey(g.serve(name, named(name)))
			}
			b := &browser{g: g}
			first, _, set := b.ask()
			b.cookies = []string{"at=" + set.Value}
			change(g, g.members[first])
			second, _, again := b.ask()
			if second == first || again == nil || again.Value == set.Value {
				t.Fatalf("went from %s to %s, and was given %v", first, second, again)
			}
			b.cookies = []string{"at=" + again.Value}
			if third, _, more := b.ask(); third != second || more != nil {
				t.Errorf("went on from %s to %s, and was given %v", second, third, more)
			}
			if c := countsOf(&g.counters); c.failed != 0 || c.cut != 0 {
				t.Errorf("counted %+v", c)
			}
		})
	}
}

func TestCookiesThatNobodyWasGiven(t *testing.T) {
	g := newRig(t, sticky)
	g.withKey(g.serve("a", named("a")))
	of := func(secret, member string) string {
		return string(pool.KeyOf([]byte(secret), "front", "hello", member).AppendText(nil))
	}
	mine, foreign := of("secret", "a"), of("other", "a") // which may be of another backend
	for value, want := range map[string]string{
		"": mine, "a": mine, "127.0.0.1:1": mine, "hello_1": mine, strings.Repeat(".", 5000): mine,
		foreign: mine + "." + foreign, of("secret", "none"): mine, of("secret", "gone") + "." + foreign: mine + "." + foreign,
	} {
		b := &browser{g: g, cookies: []string{"at=" + value}}
		if _, _, set := b.ask(); set == nil || set.Value != want {
			t.Errorf("%.40q: given %v, want %s", value, set, want)
		}
	}
	var many []string
	for i := range 40 {
		many = append(many, string(pool.KeyOf([]byte("x"), fmt.Sprint(i), "", "").AppendText(nil)))
	}
	b := &browser{g: g, cookies: []string{"at=" + strings.Join(many, ".")}}
	if _, _, set := b.ask(); set == nil || set.Value != mine+"."+strings.Join(many[:maxKeys-1], ".") {
		t.Errorf("of many: given %v", set)
	}
}

// One cookie serves several backends: who goes to and fro keeps an instance of each.
func TestAffinityToSeveralBackends(t *testing.T) {
	g := newRig(t, sticky)
	other := pool.New(g.queue, 0, nil)
	for _, name := range []string{"a", "b"} {
		m := g.withKey(g.serve(name, named(name)))
		twin := &pool.Member{Name: name, Backend: m.Backend, Key: pool.KeyOf([]byte("secret"), "front", "other", "other-"+name)}
		other.Add(twin, resource.AdmissionInService, true)
		t.Cleanup(func() { other.Remove(twin) })
	}
	c := *g.config
	c.Routes = NewRoutes([]Route{{Pool: g.pool}, {Path: "/other", Pool: other}})
	g.front.Configure(&c)
	b := &browser{g: g}
	_, _, set := b.ask()
	jar := "at=" + set.Value
	var to [2]string
	for round := range 6 {
		for i, path := range []string{"/", "/other"} {
			req, err := http.NewRequest("GET", g.url(path), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Cookie", jar)
			resp, err := g.client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			for _, c := range resp.Cookies() {
				if c.Name == "at" {
					jar = "at=" + c.Value
				}
			}
			who, _, _ := strings.Cut(string(body), " ")
			if round > 0 && who != to[i] {
				t.Errorf("round %d: %s went to %s instead of %s", round, path, who, to[i])
			}
			to[i] = who
		}
	}
}

func TestTheCookieIsSecureWhereTheClientIs(t *testing.T) {
	for _, c := range []struct {
		name    string
		trusted bool
		proto   string
		want    bool
	}{
		{"plain HTTP", false, "", false},
		{"a claim of anybody", false, "https", false},
		{"behind a trusted proxy with TLS", true, "https", true},
		{"behind a trusted proxy without", true, "http", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, sticky, func(config *Config) {
				if c.trusted {
					config.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
				}
			})
			g.withKey(g.serve("a", named("a")))
			req, err := http.NewRequest("GET", g.url("/"), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Forwarded-Proto", c.proto)
			resp, err := g.client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			set := resp.Header.Values("Set-Cookie")
			if got := strings.HasSuffix(set[len(set)-1], "; Secure"); got != c.want {
				t.Errorf("given %q", set)
			}
		})
	}
}
