package lab

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"syscall"
)

// sockets collects what has been bound, so that a start that fails gives everything back.
type sockets struct {
	log   *slog.Logger
	bound []interface{ Close() error }
}

func (s *sockets) closeAll() error {
	var errs []error
	for _, c := range s.bound {
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// listen binds a TCP listener; flag names the option that chooses the port.
func (s *sockets) listen(what string, at netip.AddrPort, flag string) (net.Listener, error) {
	ln, err := net.Listen("tcp", at.String())
	if err != nil {
		return nil, bindError(what, "tcp", at, flag, err)
	}
	patient := newListener(ln, s.log)
	s.bound = append(s.bound, patient)
	return patient, nil
}

// listenPacket binds a UDP socket.
func (s *sockets) listenPacket(what string, at netip.AddrPort, flag string) (*net.UDPConn, error) {
	pc, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, bindError(what, "udp", at, flag, err)
	}
	s.bound = append(s.bound, pc)
	return pc, nil
}

// bindError puts what can be done about it into one line.
func bindError(what, network string, at netip.AddrPort, flag string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: %s address %s is in use: stop what uses it (a lab that still runs?) or choose another port with %s", what, network, at, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: this machine does not own the address %s: run the node where that address is, or leave \"addresses\" out of the file", what, at.Addr())
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: %s port %d needs privileges: choose a port above 1023 with %s", what, network, at.Port(), flag)
	}
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		err = sys
	}
	return fmt.Errorf("%s: listen on %s %s: %w", what, network, at, err)
}

// ownsLoopback reports whether the machine owns all of 127.0.0.0/8, as Linux does, and not 127.0.0.1 alone, as macOS does.
func ownsLoopback() bool {
	ln, err := net.Listen("tcp", "127.1.0.1:0")
	if err != nil {
		return false
	}
	return ln.Close() == nil
}
