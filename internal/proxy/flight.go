package proxy

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"cdnlab/internal/cache"
)

// flight is a fetch that other requests for the same key wait for. It lands when it is known what came of it, and stays to
// be joined while the body arrives.
type flight struct {
	key    string
	landed chan struct{} // nil as long as nobody else has joined; guarded by flights.mu until then
	over   bool          // it has landed; guarded by flights.mu

	// What came of it, valid once landed. When both are nil the answer is in the store, or of no use to others.
	fill *cache.Fill
	fail *refusal
	vary string // fields by which the answer varies
	bad  bool   // the answer was an error that is not shared
}

// flights are the fetches under way.
type flights struct {
	mu    sync.Mutex // guards byKey
	byKey map[string]*flight
}

func (f *flights) init() { f.byKey = map[string]*flight{} }

// join returns the fetch for a key; first says that the caller is the one to do it, and then to call land.
func (f *flights) join(key []byte) (fl *flight, first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl, ok := f.byKey[string(key)]; ok {
		if fl.landed == nil {
			fl.landed = make(chan struct{})
			if fl.over {
				close(fl.landed)
			}
		}
		return fl, false
	}
	fl = &flight{key: string(key)}
	f.byKey[fl.key] = fl
	return fl, true
}

// land tells the waiting what came of a fetch. One whose body is still arriving goes on to be found until leave.
func (f *flights) land(fl *flight, a *answer, arriving bool) {
	if fl == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	fl.fail, fl.vary, fl.bad = a.fail, a.vary, a.resp != nil && a.status >= http.StatusInternalServerError
	if arriving {
		fl.fill = a.fill
	} else {
		f.leaveLocked(fl)
	}
	if fl.over = true; fl.landed != nil {
		close(fl.landed)
	}
}

// leave makes later requests look in the store.
func (f *flights) leave(fl *flight) {
	if fl == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leaveLocked(fl)
}

func (f *flights) leaveLocked(fl *flight) {
	if f.byKey[fl.key] == fl {
		delete(f.byKey, fl.key)
	}
}

// forget keeps later requests from joining the fetches for a key, of any variant: what they bring may be outdated.
func (f *flights) forget(key []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k := range f.byKey {
		if variant, ok := strings.CutPrefix(k, string(key)); ok && (variant == "" || variant[0] == 0) {
			delete(f.byKey, k)
		}
	}
}

// forgetAll keeps later requests from joining any fetch.
func (f *flights) forgetAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.byKey)
}

// apart remembers for a while which keys had answers that no other request could use. Requests for them do not wait for each
// other, and go upstream as the client sent them.
type apart struct {
	mu   sync.Mutex // guards keys
	keys *simplelru.LRU[uint64, time.Time]
}

const (
	apartKeys = 8192
	apartTime = 10 * time.Second
)

func (a *apart) init() {
	a.keys, _ = simplelru.NewLRU[uint64, time.Time](apartKeys, nil) // fails for sizes below 1 only
}

func (a *apart) mark(hash uint64, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys.Add(hash, now.Add(apartTime))
}

func (a *apart) has(hash uint64, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	until, ok := a.keys.Get(hash)
	if ok && now.After(until) {
		a.keys.Remove(hash)
		return false
	}
	return ok
}

// failures remembers for a moment what could not be fetched several times in a row, so that a crowd that comes for it does not become
// as many tries. One failure is not enough, and only requests with the same fields share it: whoever can make an app fail by what
// they send must not make it fail for others.
type failures struct {
	some atomic.Bool // keys holds any: mostly it does not, and nothing needs to be looked up

	mu   sync.Mutex // guards keys
	keys *simplelru.LRU[uint64, failure]
}

type failure struct {
	row  int // failures in a row
	last time.Time
	why  *refusal
}

const (
	failuresInRow = 3
	failureTime   = time.Second
)

func (f *failures) init() {
	f.keys, _ = simplelru.NewLRU[uint64, failure](apartKeys, nil) // fails for sizes below 1 only
}

// mark notes how a fetch went: why it failed, or nil.
func (f *failures) mark(hash uint64, now time.Time, why *refusal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last, _ := f.keys.Peek(hash)
	switch {
	case why == nil && last.row > 0:
		f.keys.Remove(hash)
	case why != nil:
		f.keys.Add(hash, failure{last.row + 1, now, why})
	}
	f.some.Store(f.keys.Len() > 0)
}

// of returns why something cannot be fetched; nil when that is not known.
func (f *failures) of(hash uint64, now time.Time) *refusal {
	f.mu.Lock()
	defer f.mu.Unlock()
	last, ok := f.keys.Peek(hash)
	if !ok || last.row < failuresInRow || now.Sub(last.last) > failureTime {
		return nil
	}
	return last.why
}

// failing returns why a request cannot be answered from upstream; nil when that is not known.
func (s *Server) failing(r *request) *refusal {
	if r.raw == nil || r.trusted || !s.failures.some.Load() { // nodes look after it themselves
		return nil
	}
	return s.failures.of(failureKey(r), s.cfg.Now())
}

// fetched notes how a fetch for a request went.
func (s *Server) fetched(r *request, why *refusal) {
	if r.raw != nil && !r.trusted && (why != nil || s.failures.some.Load()) {
		s.failures.mark(failureKey(r), s.cfg.Now(), why)
	}
}

func failureKey(r *request) uint64 { return hash(r.key) ^ hash(r.raw) }
