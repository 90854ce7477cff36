package cache

// prefetch has the processor fetch the first KiB of a body from memory, all of its lines at once, while the response's head is being made.
// p may be near the end of what is mapped.
//
//go:noescape
func prefetch(p *byte)
