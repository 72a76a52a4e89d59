package app

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// addLinkLocal puts the address on the loopback interface under a label; again is no error.
func addLinkLocal(label string) error {
	return onInterface(label, func(fd int, r *unix.Ifreq) error {
		if err := r.SetInet4Addr(net.ParseIP(linkLocalIP).To4()); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, unix.SIOCSIFADDR, r); err != nil {
			return err
		}
		if err := r.SetInet4Addr(net.IPv4bcast.To4()); err != nil {
			return err
		}
		return unix.IoctlIfreq(fd, unix.SIOCSIFNETMASK, r)
	})
}

// removeLinkLocal takes a labelled address away; none is no error.
func removeLinkLocal(label string) error {
	err := onInterface(label, func(fd int, r *unix.Ifreq) error {
		r.SetUint16(0) // not up: a label has no other way to go
		return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
	})
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

func onInterface(label string, do func(fd int, r *unix.Ifreq) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq(label)
	if err != nil {
		return err
	}
	return do(fd, r)
}
