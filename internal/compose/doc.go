// Package compose renders a topology for Docker Compose: one container per node at a fixed address, all of the same image.
//
//	topology.yaml ──▶ Render ──▶ compose.yaml               services, network, volumes
//	                             FILES/topology.yaml        the same network at the containers' addresses
//	                             FILES/prometheus.yml       for the profile "monitoring"
//	                             FILES/grafana/…
//
// Clients come in through the gateway and the DNS servers, whose ports are published on 127.0.0.1, or are commands of the
// profile "client". The addresses are those of a network of 65,536, by default 10.77.0.0/16:
//
//	10.77.1.N       origins              10.77.4.N   DNS servers
//	10.77.2.N       servers of hubs      10.77.5.1   admin API and dashboard
//	10.77.(15+P).S  servers of edges     10.77.5.2   gateway and the resolvers of all client places
//	10.77.255.N     containers without an address of their own
package compose
