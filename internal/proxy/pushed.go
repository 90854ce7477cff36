package proxy

import (
	"sync"
	"sync/atomic"

	"cdnlab/internal/stats"
)

// maxPushed is how many objects are known to have been pushed here. Of more the least recent are not told from others any more.
const maxPushed = 16384

// pushed are the objects that came before a client asked for them.
type pushed struct {
	any atomic.Bool // there is one: hits need not look otherwise

	mu    sync.RWMutex     // guards the fields below
	marks map[uint64]*mark // by the hash of the key
	order []uint64
	total int64 // bytes ever pushed
}

type mark struct {
	size  int64
	asked atomic.Bool // by a client
}

// add notes an object.
func (p *pushed) add(hash uint64, size int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.marks == nil {
		p.marks = map[uint64]*mark{}
	}
	if _, ok := p.marks[hash]; !ok {
		p.order = append(p.order, hash)
	}
	p.marks[hash] = &mark{size: size}
	p.total += size
	if len(p.order) > maxPushed {
		delete(p.marks, p.order[0])
		p.order = p.order[1:]
	}
	p.any.Store(true)
}

// hit reports whether what a client has hit was pushed.
func (p *pushed) hit(key []byte) bool {
	if !p.any.Load() {
		return false
	}
	p.mu.RLock()
	m, ok := p.marks[hash(key)]
	p.mu.RUnlock()
	if ok && !m.asked.Load() {
		m.asked.Store(true)
	}
	return ok
}

// count returns what was pushed, and how much of it no client has asked for.
func (p *pushed) count() stats.Pushed {
	p.mu.RLock()
	defer p.mu.RUnlock()
	out := stats.Pushed{Bytes: p.total, Objects: int64(len(p.order))}
	for _, m := range p.marks {
		if !m.asked.Load() {
			out.Unrequested += m.size
		}
	}
	return out
}

// Pushed notes that an object has been pushed here (distribution.Puller).
func (s *Server) Pushed(site, target string, size int64) {
	if h, ok := s.KeyHash(site, target); ok {
		s.pushed.add(h, size)
	}
}

// pushedDetail is what Cache-Status says of a hit that was pushed.
const pushedDetail = "pushed"
