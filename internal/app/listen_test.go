package app

import (
	"os"
	"testing"
)

func TestReachable(t *testing.T) {
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"127.0.0.1:7400": "127.0.0.1:7400", "[::1]:7400": "[::1]:7400", "10.0.0.1:80": "10.0.0.1:80",
		"0.0.0.0:7400": name + ":7400", "[::]:7400": name + ":7400",
	} {
		if got := reachable(address); got != want {
			t.Errorf("%s is reached at %s, want %s", address, got, want)
		}
	}
}
