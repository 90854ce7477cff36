package dnsredirect

import "net"

// rotated appends the addresses of all servers to dst, beginning with those of the server whose turn it is, so that clients,
// which mostly try the first address, spread evenly over the servers.
func rotated(dst []net.IP, servers [][]net.IP, turn uint32) []net.IP {
	for i := range servers {
		dst = append(dst, servers[(uint64(turn)+uint64(i))%uint64(len(servers))]...)
	}
	return dst
}
