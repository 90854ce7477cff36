// Package cache stores responses in RAM under an exact byte budget.
//
// A [Store] maps cache keys to complete, immutable [Object] values and gives up the least recently used ones. A response is
// stored through a [Fill]: one goroutine writes the body as it arrives from upstream, any number of [Reader] values follow
// it while it is being written, and only a body that was completed becomes an Object. Bodies are kept in chunks.
//
//	Begin ──Write──▶ Fill ──Complete──▶ Object in the Store ──Find──▶ later requests
//	                  │└── Abort: its readers get the error, nothing is stored
//	                  └──▶ Reader, Reader …: present requests, each at its own pace
//
// A body that turns out too large to be stored is passed through: the Fill then holds only a window of it and waits for its
// readers.
package cache
