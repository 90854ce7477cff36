// Package place says where a client sits, from its address alone.
//
//	address ──▶ topology networks + the plan's 127.(100+K).0.0/16   ──found──▶ a client place of the file
//	                 │ not found
//	                 ▼
//	            the --geoip database, when there is one              ──found──▶ a city and its coordinates
//	                 │ not found, or without coordinates
//	                 ▼
//	            the topology's fallback place
//
// The first step is a City-style MaxMind database made in memory when the locator is; both databases are read the same way.
// Every answer carries the prefix length for which it holds, which is what ECS calls its scope (RFC 7871 §7.2.1).
package place
