// Package redact keeps secrets out of the logs (the seventh law): it wraps a
// slog.Handler and takes out whatever is named like a secret (an attribute, a
// URL's query parameter, a header in a text) or looks like one (a Drover token,
// bearer credentials, a password in a URL), in messages, attributes, nested
// groups and errors alike.
//
// It holds no state. Numbers, times and booleans are passed through even under
// a secret's name: `code=502` is a status, and no secret is a number.
package redact
