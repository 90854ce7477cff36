// Package dnsredirect is the CDN's authoritative DNS server: it sends every client to the PoP that is nearest to it.
//
//	resolver ──UDP, TCP──▶ parse ──▶ zone ──┬── SOA, NS, TXT, … of the file's records and the nodes' own names
//	                                        └── a site: who asks? (ECS, else source address)
//	                                              │ place.Locator
//	                                              ▼
//	                                            mapping: PoPs by RTT ──▶ the nearest that is alive ──▶ its servers, by turns
//	                                                                            ▲
//	                                            checker: GET /-/health of every edge server
//
// It comes first on a request's path: the address that it answers is the edge the client connects to. When no edge is left it
// answers the site's origin.
//
// What decides is pure: mapping.go (which PoP), rotation.go (in which order its servers), health.go (who is alive). The wire is
// query.go and answer.go for messages, on the types and the packing of miekg/dns, and server.go for the sockets. The loops are
// this package's own since malformed options have to be judged by the raw bytes and since a reader per core that answers in
// place is cheaper than a goroutine per packet.
package dnsredirect
