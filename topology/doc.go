// Package topology reads the file that describes a content delivery network, and answers what follows from it: who sits
// where, how far apart they are, who fetches from whom, and which address everyone has. Everything else in this project is
// built from what it returns. It opens no socket.
//
//	topology.yaml ──▶ Load ──▶ Topology ──▶ Path     RTT, bandwidth and loss between two entries
//	     ▲                       │          Parents  edge → hubs, nearest first → origin
//	 --set PATH=VALUE            └─▶ Plan ──▶ Node   paris-1 at 127.3.1.1:8080
//	                                          Place  tokyo's clients in 127.110.0.0/16
//
// A file is checked as a whole: Load returns every fault at once, each with its place and with what would be right, as
// Faults. A Topology is never changed after that.
//
// # What need not be said
//
// A smallest file names an origin and an edge:
//
//	origins: { main: { at: Ashburn } }
//	edges:   { paris: {} }
//
// An entry that is named for a city, or for the IATA code of its airport, sits there. An edge fetches from the hub with the
// lowest RTT, or from the first origin when there is no hub; a hub fetches from the first origin. A file without clients has
// one place in the city of each edge (of the first 155), and a file without fallback uses the first place. A file without
// sites serves www below its zone from the first origin. The other defaults stand in the JSON Schema.
//
// # Options
//
// Load, Parse and Preset take options of the form PATH=VALUE, which are applied to the file before it is checked:
//
//	edges.tokyo.ram=64MiB            one value, of an entry that is there or not
//	edges.*.ram=32MiB                a star stands for any text in a key
//	sites.www.cdn.test.cache.ttl=5s  of keys with dots the longest that fits is meant
//	links[0].rtt=90ms                an item of a list
//	hubs=null                        leaves out a key
//
// # Names
//
// Entries have names that are DNS labels, as their servers are called paris-1 and paris-2. References name an entry by its
// name alone, or as hubs.eu where that could mean two. In records, a target without a dot lies below the zone.
package topology
