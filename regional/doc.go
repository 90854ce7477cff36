// Package regional is a hub: the shield between edges and origins.
//
//	edges of a region ──▶ hub: RAM cache ──▶ the site's origin
//
// However many edges miss the same object at the same time, the origin sees one request. The way of a request through the
// cache is that of package proxy; a hub's own is only where it fetches from.
package regional
