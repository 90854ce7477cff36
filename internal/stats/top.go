package stats

import (
	"cmp"
	"slices"
	"sync"
)

// Object is one of the objects that a node is asked for most.
type Object struct {
	Site  string `json:"site"`
	Path  string `json:"path"`
	Count uint64 `json:"count"` // requests, about
	Hits  uint64 `json:"hits"`
}

// Sizes of the sketch of popular objects.
const (
	topSize     = 64  // objects that are kept
	topNewcomer = 8   // of the requests for other objects one of so many is looked at, and stands for all of them
	maxPath     = 256 // bytes
)

// top finds the objects that are asked for most, in the memory of a few, by the space-saving algorithm (Metwally, Agrawal and
// El Abbadi, "Efficient computation of frequent and top-k elements in data streams", 2005): a newcomer takes the place of the
// rarest and inherits its count.
type top struct {
	mu      sync.Mutex // guards the fields below
	objects []Object
	index   map[objectKey]int
	others  uint64 // requests for objects that are not kept
}

type objectKey struct{ site, path string }

// Object counts a request for an object of a site. One that comes while another is being counted is not: popularity is a
// matter of proportion.
func (n *Node) Object(site string, path []byte, fromCache bool) {
	if len(path) <= maxPath && n.top.mu.TryLock() {
		n.top.addLocked(site, path, fromCache)
		n.top.mu.Unlock()
	}
}

func (t *top) addLocked(site string, path []byte, fromCache bool) {
	i, ok := t.index[objectKey{site, string(path)}]
	weight := uint64(1)
	if !ok {
		if i, weight = t.enterLocked(site, path); weight == 0 {
			return
		}
	}
	t.objects[i].Count += weight
	if fromCache {
		t.objects[i].Hits += weight
	}
}

// enterLocked makes room for an object and says how many requests this one stands for; 0 leaves it out.
func (t *top) enterLocked(site string, path []byte) (i int, weight uint64) {
	if t.index == nil {
		t.index = map[objectKey]int{}
	}
	count := uint64(0)
	if i, weight = len(t.objects), 1; i < topSize {
		t.objects = append(t.objects, Object{})
	} else {
		if t.others++; t.others%topNewcomer != 0 {
			return 0, 0
		}
		i, weight = t.rarestLocked(), topNewcomer
		delete(t.index, objectKey{t.objects[i].Site, t.objects[i].Path})
		count = t.objects[i].Count
	}
	o := Object{Site: site, Path: string(path), Count: count}
	t.objects[i] = o
	t.index[objectKey{o.Site, o.Path}] = i
	return i, weight
}

func (t *top) rarestLocked() (rarest int) {
	for i := range t.objects {
		if t.objects[i].Count < t.objects[rarest].Count {
			rarest = i
		}
	}
	return rarest
}

// snapshot lists the objects, those asked for most first.
func (t *top) snapshot() []Object {
	t.mu.Lock()
	all := slices.Clone(t.objects)
	t.mu.Unlock()
	slices.SortFunc(all, func(a, b Object) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Site, b.Site), cmp.Compare(a.Path, b.Path))
	})
	return all
}
