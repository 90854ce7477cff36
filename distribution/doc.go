// Package distribution is the tree along which changes travel outward: each node follows its parent and serves its children.
//
//	                 append                       GET /-/tree/follow?after=…
//	cdnlab purge ──▶ mgmt ──▶ origin: journal ──▶ hub ──▶ edge
//	                              ◀── reports of what has been applied ──
//
// The origin keeps the journal (package journal), one for the sites of each origin. A hub follows every origin's journal, and hands
// what it has applied on to the edges that follow it, so that an origin sends an event as often as it has hubs. What a node has
// applied goes up the same connections: the origin knows how far each node is, and says when a purge is done everywhere.
//
// # Order
//
// A follower applies the events in the order of their numbers, each once. It asks for what comes after its position; a parent that
// has forgotten that, or is of another epoch, refuses it, and the next one is asked. When not even the origin can replay, or the
// node has no position, the follower declares everything that it has stored stale and goes on from there.
//
// # Fills
//
// A Feed has two positions. It claims an event before it touches the store, and has applied it afterwards. A node that fetches notes
// what it claims; its parent says with the response what it had applied when the request came. A response from a parent that is
// behind the claim is not stored. A node that has just started, with nothing stored, takes the position of the first response as its
// own. A purge that comes between the note and the storing is found by the ticket of the fetch (package
// cache). So what is stored has seen every purge that its node has applied, whatever the order of arrival.
//
// # Doubt
//
// Once a second the origin sends a beat, which follows the events before it along the tree. A node that has heard no new beat for a
// while cannot know what was purged: it doubts what it has stored, and validates before it serves. So does a node that has come
// back with a stored position, until it has caught up.
package distribution
