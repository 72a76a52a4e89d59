package certificate

import (
	"crypto/tls"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/internal/gateway/wire"
)

// Pair names the files of a certificate and its key, which may be one.
type Pair struct {
	// Source is what facts call it.
	Source            string
	CertFile, KeyFile string
	// Read opens a file; it says what is wrong with it, by its name.
	Read func(path string) ([]byte, error)
	// Name is what the pair is ordered for, and Challenges are files that say how to
	// show to the authority that the name is ours. Empty: the pair is not ordered.
	Name       string
	Challenges []string
}

// same says whether two pairs are the same files.
func (p Pair) same(o Pair) bool {
	return p.Source == o.Source && p.CertFile == o.CertFile && p.KeyFile == o.KeyFile
}

// Keeper keeps the certificates of one load balancer.
type Keeper struct {
	config *tls.Config
	table  atomic.Pointer[table]
	logger *slog.Logger

	mu   sync.Mutex
	kept []*kept
}

// kept is a pair as it was found.
type kept struct {
	Pair
	cert    *tls.Certificate // what is served; nil: nothing
	stamps  [2]stamp         // of the files when they were read
	problem string           // why what is in the files now is not served
	again   bool             // that was so at the last look, too
}

// stamp tells a file from what it was before.
type stamp struct {
	info fs.FileInfo // nil: there is none
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info}
}

func (s stamp) same(o stamp) bool {
	return s.info != nil && o.info != nil && os.SameFile(s.info, o.info) &&
		s.info.Size() == o.info.Size() && s.info.ModTime().Equal(o.info.ModTime())
}

// New makes a Keeper of nothing, for clients that speak one of the protocols.
func New(protocols []string, logger *slog.Logger) *Keeper {
	k := &Keeper{logger: logger}
	k.table.Store(&table{})
	k.config = &tls.Config{
		GetCertificate:     k.choose,
		GetConfigForClient: k.configFor,
		NextProtos:         protocols,
		MinVersion:         tls.VersionTLS12,
		// Answers are written whole: small first records would only be more of them.
		DynamicRecordSizingDisabled: true,
	}
	return k
}

// Config is what TLS is served by: always the same, whatever the certificates are.
// It makes and changes the keys of session tickets by itself.
func (k *Keeper) Config() *tls.Config { return k.config }

func (k *Keeper) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return k.table.Load().choose(hello)
}

// Use keeps these pairs from now on, and no others.
func (k *Keeper) Use(pairs []Pair) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []*kept
	for _, p := range pairs {
		i := slices.IndexFunc(k.kept, func(old *kept) bool { return old.same(p) })
		if i >= 0 {
			k.kept[i].Pair = p
			list = append(list, k.kept[i])
			continue
		}
		one := &kept{Pair: p}
		one.look()
		k.tell(one)
		list = append(list, one)
	}
	k.kept = list
	k.publish()
}

// Look reads what has changed, and says whether there is news.
func (k *Keeper) Look() (news bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, one := range k.kept {
		if one.look() {
			news = true
			k.tell(one)
		}
	}
	if news {
		k.publish()
	}
	return news
}

func (k *Keeper) tell(one *kept) {
	switch {
	case one.problem != "":
		k.logger.Warn("A certificate cannot be used", "certificate", one.Source, "served before", one.cert != nil, "error", one.problem)
	case one.cert != nil:
		k.logger.Info("A certificate is served", "certificate", one.Source, "file", one.CertFile, "until", one.cert.Leaf.NotAfter)
	}
}

// look is true when what is served, or why something is not, has changed.
func (o *kept) look() (news bool) {
	now := [2]stamp{stampOf(o.CertFile), stampOf(o.KeyFile)}
	if !o.again && o.cert != nil && now[0].same(o.stamps[0]) && now[1].same(o.stamps[1]) {
		return false
	}
	cert, err := o.load()
	if err != nil {
		return o.failed(err.Error())
	}
	news = o.problem != "" || o.cert == nil || !sameCertificate(cert, o.cert)
	o.cert, o.stamps, o.problem, o.again = cert, now, "", false
	return news
}

// failed notes why the files cannot be used. While they are being exchanged that
// is nothing to speak of.
func (o *kept) failed(why string) (news bool) {
	passing := o.cert != nil && !o.again
	o.again = true
	if passing || o.problem == why {
		return false
	}
	o.problem = why
	return true
}

// publish has what is kept served.
func (k *Keeper) publish() {
	var list []*tls.Certificate
	for _, one := range k.kept {
		if one.cert != nil {
			list = append(list, one.cert)
		}
	}
	k.table.Store(newTable(list))
}

// Facts say what is served.
func (k *Keeper) Facts() []wire.CertificateFacts {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := make([]wire.CertificateFacts, 0, len(k.kept))
	for _, one := range k.kept {
		f := wire.CertificateFacts{Source: one.Source, Problem: one.problem}
		if one.cert != nil {
			leaf := one.cert.Leaf
			f.Names, f.NotBefore, f.NotAfter = namesOf(leaf), leaf.NotBefore, leaf.NotAfter
		}
		list = append(list, f)
	}
	return list
}

// Interval is how often a Keeper is to look.
const Interval = time.Second
