package h2

import (
	"errors"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/droverhq/drover/internal/gateway/h1"
)

const (
	// tableSize is that of the tables with which both ends compress, and what a
	// connection remembers of fields (RFC 9113 §6.5.2).
	tableSize = 4 << 10
	// maxFields bounds the fields of a section, beside its bytes.
	maxFields = 256
	// perField is what a field counts beside its name and value (RFC 9113 §10.5.1).
	perField = 32
	// maxFragments bounds the frames of a section: each costs the same, and may be empty.
	maxFragments = 64
	// leastBlock is what a section may have in compressed bytes, however small its limit is.
	leastBlock = 64 << 10
)

// block is a field section that is coming, in one frame or several.
type block struct {
	id        uint32
	end       bool // it ends the stream
	itself    bool // the stream is to depend on itself (RFC 9113 §5.3.1, RFC 7540 §5.3.1)
	fragments int
	bytes     []byte // of all frames, when there are several
}

// add takes another frame's part. What the peer may still send stays within a limit.
func (b *block) add(p []byte, limit int) error {
	if b.fragments++; b.fragments > maxFragments || len(b.bytes)+len(p) > max(2*limit, leastBlock) {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	b.bytes = append(b.bytes, p...)
	return nil
}

// section is fields as they came. Their bytes are its own.
type section struct {
	fields []h1.Field
	text   []byte
	// size is what they take, as the limit counts it. Fields beyond the limit are not kept.
	size  int
	large bool
}

// reset forgets the fields, and does not keep much for those to come.
func (s *section) reset() {
	const worthKeeping = 8 << 10
	clear(s.fields[:cap(s.fields)])
	s.fields, s.text, s.size, s.large = s.fields[:0], s.text[:0], 0, false
	if cap(s.text) > worthKeeping {
		s.text = nil
	}
}

// append adds bytes of its own to the section.
func (s *section) append(v string) []byte {
	from := len(s.text)
	s.text = append(s.text, v...)
	return s.text[from:len(s.text):len(s.text)]
}

// decoder is the reading half of a connection's compression. Only the reader uses it.
type decoder struct {
	hpack *hpack.Decoder
	limit int
	into  *section
}

func (d *decoder) init(limit int) {
	d.limit = limit
	d.hpack = hpack.NewDecoder(tableSize, d.emit)
}

func (d *decoder) emit(f hpack.HeaderField) {
	s := d.into
	s.size += len(f.Name) + len(f.Value) + perField
	if s.size > d.limit || len(s.fields) == maxFields {
		s.large = true
		d.hpack.SetEmitEnabled(false) // what follows only keeps the table right
		return
	}
	s.fields = append(s.fields, h1.Field{Name: s.append(f.Name), Value: s.append(f.Value)})
}

// decode reads a whole section. Nothing that is compressed can be read after an error.
func (d *decoder) decode(p []byte, s *section) error {
	s.reset()
	d.into = s
	d.hpack.SetEmitEnabled(true)
	_, err := d.hpack.Write(p)
	err = errors.Join(err, d.hpack.Close())
	d.into = nil
	if err != nil {
		return http2.ConnectionError(http2.ErrCodeCompression)
	}
	return nil
}

// encode adds a section to the block of the writer.
func (w *writer) encode(fields []h1.Field) {
	for i := range fields {
		f := &fields[i]
		w.lower = lowerCase(w.lower[:0], f.Name)
		_ = w.encoder.WriteField(hpack.HeaderField{Name: w.known.of(w.lower), Value: w.known.of(f.Value), Sensitive: secret(f.Kind)})
	}
}

// secret says whether a field's value is not to be compressed, so that nobody can
// guess at it by the size of what follows (RFC 7541 §7.1).
func secret(k h1.Kind) bool {
	return k == h1.SetCookie || k == h1.Cookie || k == h1.Authorization
}

func lowerCase(dst, name []byte) []byte {
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}
