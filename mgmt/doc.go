// Package mgmt is the management system: the admin API through which people and the command line see and steer a lab.
//
//	cdnlab status, put, explain …      a browser
//	            │                          │
//	            └──▶ mgmt  127.0.0.1:7070 ◀┘     guard: local Host, own Origin, token
//	                   │
//	     GET /-/stats  ├──▶ every origin, hub, edge, DNS server
//	     /-/objects    ├──▶ the origin of a site
//	     Explain       └──▶ the lab
//
// It is no part of a request's path: a CDN whose mgmt is gone serves on.
//
// The API listens on a loopback address, which any web page in the user's browser can send requests to. Three checks
// keep such pages out: a call must name a local Host (a page that had its own name rebound to 127.0.0.1 sends that
// name; PURGE alone may name a site, and never comes from a page), a call that changes state must not come from another Origin, and it must carry the lab's token, for a
// purge in the dialect of another CDN in the place where that has its own.
package mgmt
