package redact

import (
	"net/url"
	"regexp"
	"strings"
)

// Mark stands where a secret was.
const Mark = "[redacted]"

// TokenPrefix begins every token that Drover gives out, so that one is known for
// what it is wherever it turns up.
const TokenPrefix = "drv_"

// secretNames are names of attributes, headers and query parameters whose values
// are secrets, in lower case without punctuation.
var secretNames = map[string]bool{
	"token": true, "accesstoken": true, "refreshtoken": true, "idtoken": true, "bearer": true,
	"code": true, "sig": true, "signature": true, "aegsaskey": true, "aegsastoken": true, "sharedaccesskey": true,
	"authorization": true, "proxyauthorization": true, "wwwauthenticate": true,
	"password": true, "passwd": true, "passphrase": true, "secret": true, "clientsecret": true,
	"cookie": true, "setcookie": true, "apikey": true, "xapikey": true, "xfunctionskey": true,
	"privatekey": true, "credential": true, "credentials": true, "hash": true,
}

var (
	drover   = regexp.MustCompile(TokenPrefix + `[A-Za-z0-9_-]+`)
	query    = regexp.MustCompile(`([?&;]|\b)([A-Za-z0-9_.%-]+)=([^&;\s"'<>\\]+)`)
	bearer   = regexp.MustCompile(`(?i)\b(bearer|basic|sharedaccesssignature)\s+[A-Za-z0-9+/=._~-]{6,}`)
	field    = regexp.MustCompile(`(?im)\b((?:proxy-)?authorization|(?:set-)?cookie|aeg-sas-key|aeg-sas-token|x-api-key)(\s*:\s*)[^\r\n]+`)
	quoted   = regexp.MustCompile(`(\\?")([A-Za-z0-9_-]+)(\\?"\s*:\s*\\?")((?:[^"\\]|\\[^"])+)`)
	userinfo = regexp.MustCompile(`(://[^/\s:@]*):[^/\s@]+@`)
)

// Secret reports whether a value of that name is a secret.
func Secret(name string) bool {
	return secretNames[strings.Map(plain, name)]
}

func plain(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
		return r
	case r >= 'A' && r <= 'Z':
		return r + ('a' - 'A')
	}
	return -1
}

// String takes the secrets out of a text.
func String(s string) string {
	if s == "" {
		return s
	}
	s = drover.ReplaceAllString(s, TokenPrefix+Mark)
	s = bearer.ReplaceAllString(s, "$1 "+Mark)
	s = field.ReplaceAllString(s, "$1$2"+Mark)
	s = userinfo.ReplaceAllString(s, "$1:"+Mark+"@")
	s = replaceNamed(query, s, 2, 3)
	return replaceNamed(quoted, s, 2, 4)
}

// replaceNamed replaces group value of every match whose group name names a secret.
func replaceNamed(re *regexp.Regexp, s string, name, value int) string {
	var b strings.Builder
	last := 0
	for _, m := range re.FindAllStringSubmatchIndex(s, -1) {
		key := s[m[2*name]:m[2*name+1]]
		if decoded, err := url.QueryUnescape(key); err == nil {
			key = decoded // %74oken is token to a server
		}
		if !Secret(key) {
			continue
		}
		b.WriteString(s[last:m[2*value]])
		b.WriteString(Mark)
		last = m[2*value+1]
	}
	b.WriteString(s[last:])
	return b.String()
}
