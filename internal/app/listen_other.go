//go:build !linux

package app

import "net"

func listenShort(path string) (net.Listener, error) { return net.Listen("unix", path) }
