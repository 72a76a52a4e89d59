package sample

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Config is how the program behaves. It is read from sample.json in the working
// directory, which is the image's, so that one binary makes many versions.
type Config struct {
	Version string `json:"version"`
	// FailAfterRequests: the health check fails once this many requests were handled; 0: never.
	FailAfterRequests int64 `json:"failAfterRequests,omitempty"`
	// NeverHealthy: the health check never passes.
	NeverHealthy bool `json:"neverHealthy,omitempty"`
	// ErrorEvery answers every nth request with 500; 0: none.
	ErrorEvery int64 `json:"errorEvery,omitempty"`
	// DelayMs is how long every answer takes.
	DelayMs int `json:"delayMs,omitempty"`
	// SelfTest is what /selftest answers; 0: 200.
	SelfTest int `json:"selfTest,omitempty"`
	// IgnoreTerm: SIGTERM has no effect.
	IgnoreTerm bool `json:"ignoreTerm,omitempty"`
	// ExitCode, when not 0, ends the program with it at once.
	ExitCode int `json:"exitCode,omitempty"`
	// StartDelayMs is how long it takes until the program listens.
	StartDelayMs int `json:"startDelayMs,omitempty"`
	// AzureGraceMs, when not 0, has the health check heed what is scheduled for the
	// instance, and pass for so long after it was told.
	AzureGraceMs int `json:"azureGraceMs,omitempty"`
	// AzureEndpoint is where it asks; empty: at IMDS_ENDPOINT.
	AzureEndpoint string `json:"azureEndpoint,omitempty"`
	// TCP: no HTTP; every line of a connection is answered with the version and that line.
	TCP bool `json:"tcp,omitempty"`
	// NeverApprove: it is told, and does not approve.
	NeverApprove bool `json:"neverApprove,omitempty"`
}

const configFile = "sample.json"

// readConfig reads what is written in folder; the version is given from outside, else.
func readConfig(folder, version string) (Config, error) {
	c := Config{Version: version}
	text, err := os.ReadFile(filepath.Join(folder, configFile))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read the configuration: %w", err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("read the configuration %s: %w", configFile, err)
	}
	return c, nil
}

func (c Config) startDelay() time.Duration { return time.Duration(c.StartDelayMs) * time.Millisecond }
