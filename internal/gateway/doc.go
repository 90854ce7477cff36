// Package gateway is a client place's way into the lab: the resolver that a city's clients ask, and a forward proxy through
// which a browser or a load generator becomes a client in that city.
//
//	dig @127.101.0.53 ──▶ Resolver ── ECS of the city ──▶ authoritative DNS
//	curl -x tokyo:@127.0.0.1:3128 ──▶ Proxy ── from 127.103.0.7 ──▶ the edge that the DNS answered
//
// The resolver keeps nothing: each query is asked anew, so that a change of the answers is seen at once. The proxy serves the
// sites of the topology and nothing else. It resolves through the lab's DNS alone, for each connection that it opens, and
// connects to the lab's nodes alone, from the city's own address.
package gateway
