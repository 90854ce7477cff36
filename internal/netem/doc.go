// Package netem puts latency, bandwidth and loss on connections, so that a lab on one machine has the distances of its
// topology. What it wraps are ordinary net.Conn, net.Listener and net.PacketConn; a Link holds what lies between two places:
//
//	client ── Listen ──▶ edge ── Dial ──▶ hub ── Dial ──▶ origin
//	         last mile          link            link
//
// The round-trip time is added once on connect and once per turn: the first byte read after something was written, which is a
// request at the accepting end and a response at the dialling end. Bandwidth is shared by the connections of a link, each way
// on its own. A lost packet delays a TCP stream by what its repair takes, and removes a datagram.
//
// Wrapping is not free (a wrapped connection has neither writev nor sendfile): without emulation nothing is wrapped.
package netem
