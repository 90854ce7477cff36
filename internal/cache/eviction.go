package cache

import (
	"math"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Eviction holds the entries of a store and knows which to give up next. The store guards it and accounts for the bytes.
type Eviction interface {
	Get(key string) (*Object, bool)  // counts as a use; must not keep key
	Peek(key string) (*Object, bool) // does not count; must not keep key
	Add(key string, o *Object)       // or replaces the entry; counts as a use
	Remove(key string)
	Evict() (o *Object, ok bool) // removes and returns the next to give up; ok is false when there is none
	Len() int
}

// lru gives up what was not used for the longest time.
type lru struct {
	list *simplelru.LRU[string, *Object]
}

// NewLRU returns an Eviction that gives up the least recently used entry.
func NewLRU() Eviction {
	list, _ := simplelru.NewLRU[string, *Object](math.MaxInt, nil) // fails for sizes below 1 only
	return lru{list}
}

func (l lru) Get(key string) (*Object, bool)  { return l.list.Get(key) }
func (l lru) Peek(key string) (*Object, bool) { return l.list.Peek(key) }
func (l lru) Add(key string, o *Object)       { l.list.Add(key, o) }
func (l lru) Remove(key string)               { l.list.Remove(key) }
func (l lru) Len() int                        { return l.list.Len() }

func (l lru) Evict() (*Object, bool) {
	_, o, ok := l.list.RemoveOldest()
	return o, ok
}
