package client

import (
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	tests := []struct{ server, data, want, problem string }{
		{server: "", data: "/srv/drover", want: "/srv/drover/run/api.sock"},
		{server: "unix:///run/d.sock", want: "/run/d.sock"},
		{server: "unix://run/d.sock", problem: "unix:///PATH"},
		{server: "127.0.0.1:7400", want: "http://127.0.0.1:7400"},
		{server: "localhost:7400", want: "http://localhost:7400"},
		{server: "[::1]:7400", want: "http://[::1]:7400"},
		{server: "hub.example:7400", want: "https://hub.example:7400"},
		{server: "https://hub.example/", want: "https://hub.example"},
		{server: "https://hub.example/base/", problem: "no path"},
		{server: "http://127.0.0.1:7400", want: "http://127.0.0.1:7400"},
		{server: "http://hub.example:7400", problem: "clear text"},
		{server: "http://127.0.0.1.example.com", problem: "clear text"},
		{server: "https://me:secret@hub.example", problem: "not in the URL"},
		{server: "https://hub.example?token=secret", problem: "not in the URL"},
		{server: "https://", problem: "no host"},
		{server: "ftp://hub.example", problem: "https://HOST:PORT"},
		{server: "https://%zz", problem: "not a URL"},
	}
	for _, tt := range tests {
		got, err := parseTarget(tt.server, tt.data, false)
		switch {
		case tt.problem != "" && (err == nil || !strings.Contains(err.Error(), tt.problem)):
			t.Errorf("%q: got %v, %v; want an error with %q", tt.server, got, err, tt.problem)
		case tt.problem == "" && (err != nil || got.String() != tt.want):
			t.Errorf("%q: got %v, %v; want %s", tt.server, got, err, tt.want)
		case err != nil && strings.Contains(err.Error(), "secret@"):
			t.Errorf("%q: the error repeats the password: %v", tt.server, err)
		}
		if err == nil && got.local != (tt.server == "") {
			t.Errorf("%q: local is %v", tt.server, got.local)
		}
	}
	if got, err := parseTarget("127.0.0.1:7400", "", true); err != nil || got.String() != "https://127.0.0.1:7400" {
		t.Errorf("with a CA: got %v, %v", got, err)
	}
}
