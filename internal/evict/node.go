package evict

import "unsafe"

// Node is the part of a cache entry that a policy orders. The owner has it as the first field of its entries, sets the
// exported fields before Add and leaves them alone while a policy holds the node. It is 40 bytes: caches hold millions.
type Node struct {
	Hash uint64 // of the key, well mixed; s3fifo remembers it after the node left, wtinylfu counts it
	Size int64  // in the unit of Config.Capacity; s3fifo, wtinylfu, gdsf

	prev, next *Node  // in a list: lru, lfu, fifo, s3fifo, sieve, wtinylfu, ttl if it never expires
	at         int32  // place in a slice: random, gdsf, ttl, where -1 is the list; bucket: lfu; queue: s3fifo, wtinylfu
	uses       uint32 // gdsf; since it entered its queue, up to 3: s3fifo; 1 for visited: sieve; 1 for won: wtinylfu
}

// Entry returns the entry of which the node is the first field. A pointer to it in the node would cost each entry 8 bytes.
func Entry[T any](n *Node) *T { return (*T)(unsafe.Pointer(n)) }

// list is a queue of nodes, new ones at the head.
type list struct {
	head, tail *Node
	len        int
	size       int64 // of all
}

func (l *list) push(n *Node) {
	n.prev, n.next = nil, l.head
	if l.head != nil {
		l.head.prev = n
	} else {
		l.tail = n
	}
	l.head = n
	l.len++
	l.size += n.Size
}

func (l *list) remove(n *Node) {
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		l.head = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	} else {
		l.tail = n.prev
	}
	n.prev, n.next = nil, nil
	l.len--
	l.size -= n.Size
}

// pop removes and returns the tail; nil when there is none.
func (l *list) pop() *Node {
	n := l.tail
	if n != nil {
		l.remove(n)
	}
	return n
}

// touch moves a node to the head.
func (l *list) touch(n *Node) {
	if n == l.head {
		return
	}
	n.prev.next = n.next
	if n.next != nil {
		n.next.prev = n.prev
	} else {
		l.tail = n.prev
	}
	n.prev, n.next = nil, l.head
	l.head.prev = n
	l.head = n
}
