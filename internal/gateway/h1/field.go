package h1

import "bytes"

// Field is a line of a header or trailer section.
type Field struct {
	Name, Value []byte
	Kind        Kind
	// Hop: the field is for the next neighbour only, by what it is or because
	// Connection names it (RFC 9110 §7.6.1). A proxy does not pass it on.
	Hop bool
}

// Kind tells the names that a proxy knows apart, so that it compares none.
type Kind uint8

// Other is any field without a meaning here. The kinds up to Upgrade are hop by hop.
const (
	Other Kind = iota
	Connection
	KeepAlive
	ProxyAuthenticate
	ProxyAuthorization
	ProxyConnection
	TE
	Trailer
	TransferEncoding
	Upgrade

	Authorization
	CacheControl
	ContentEncoding
	ContentLength
	ContentRange
	ContentType
	Cookie
	Date
	Expect
	Forwarded
	Host
	Location
	Range
	Referer
	Server
	SetCookie
	UserAgent
	WWWAuthenticate
	XForwardedFor
	XForwardedHost
	XForwardedProto
	// XForwarded is every other X-Forwarded- name, and all of them with _ for a
	// dash: claims of a client about whom it speaks for.
	XForwarded
)

func (k Kind) hopByHop() bool { return Connection <= k && k <= Upgrade }

// inTrailer says whether a field may come after the body. What frames a message,
// says who speaks or is checked at its head may not (RFC 9110 §6.5.1): a program
// that adds trailers to the header would believe it.
func (k Kind) inTrailer() bool {
	switch k {
	case Other, Date, Referer, Server, UserAgent:
		return true
	}
	return false
}

type knownName struct {
	name string
	kind Kind
}

// known is by the name's length.
var known = [...][]knownName{
	2:  {{"te", TE}},
	4:  {{"host", Host}, {"date", Date}},
	5:  {{"range", Range}},
	6:  {{"cookie", Cookie}, {"server", Server}, {"expect", Expect}},
	7:  {{"referer", Referer}, {"upgrade", Upgrade}, {"trailer", Trailer}},
	8:  {{"location", Location}},
	9:  {{"forwarded", Forwarded}},
	10: {{"connection", Connection}, {"user-agent", UserAgent}, {"set-cookie", SetCookie}, {"keep-alive", KeepAlive}},
	12: {{"content-type", ContentType}},
	13: {{"cache-control", CacheControl}, {"authorization", Authorization}, {"content-range", ContentRange}},
	14: {{"content-length", ContentLength}},
	15: {{"x-forwarded-for", XForwardedFor}},
	16: {{"content-encoding", ContentEncoding}, {"x-forwarded-host", XForwardedHost}, {"www-authenticate", WWWAuthenticate}, {"proxy-connection", ProxyConnection}},
	17: {{"transfer-encoding", TransferEncoding}, {"x-forwarded-proto", XForwardedProto}},
	18: {{"proxy-authenticate", ProxyAuthenticate}},
	19: {{"proxy-authorization", ProxyAuthorization}},
}

// kindOf is the kind of a field, as every program sees it that reads it.
func kindOf(name []byte) (Kind, error) {
	kind := Other
	if len(name) < len(known) {
		for _, k := range known[len(name)] {
			if equalFold(name, k.name) {
				kind = k.kind
				break
			}
		}
	}
	switch {
	case kind == Other && hasPrefixFold(name, "x-forwarded-"):
		return XForwarded, nil
	case kind == Other || bytes.IndexByte(name, '_') < 0:
		return kind, nil
	}
	// A dash is an underscore: only to some programs is it that field.
	switch kind {
	case ContentLength, TransferEncoding:
		return Other, errDisguised
	case XForwardedFor, XForwardedHost, XForwardedProto:
		return XForwarded, nil
	}
	return Other, nil
}

// parse reads a line that is not empty, without its CRLF.
func (f *Field) parse(line []byte) (err error) {
	n := span(line, isToken)
	switch {
	case n > 0 && n < len(line) && line[n] == ':':
	case line[0] == ' ' || line[0] == '\t':
		return errFolded
	default:
		return errFieldName
	}
	f.Name, f.Value = line[:n], trim(line[n+1:])
	if !validText(f.Value) {
		return errFieldValue
	}
	return f.classify()
}

// classify finds out what a field is by its name.
func (f *Field) classify() (err error) {
	f.Kind, err = kindOf(f.Name)
	f.Hop = f.Kind.hopByHop()
	return err
}

// InTrailer says whether a field of that name may come after the body.
func InTrailer(name []byte) bool {
	kind, err := kindOf(name)
	return err == nil && len(name) > 0 && all(name, isToken) && kind.inTrailer()
}
