//go:build !linux

package app

import "errors"

var errLinkLocal = errors.New("it is supported on Linux only")

func addLinkLocal(string) error    { return errLinkLocal }
func removeLinkLocal(string) error { return errLinkLocal }
