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
	began  time.Time
	landed chan struct{} // nil as long as nobody else has joined; guarded by flights.mu until then
	over   bool          // it has landed; guarded by flights.mu
	beside *flight       // the one that began when this one took long; guarded by flights.mu
	wanted atomic.Bool   // a client waits for it

	// What came of it, valid once landed. When both are nil the answer is in the store, or of no use to others.
	fill *cache.Fill
	fail *refusal
	vary string // fields by which the answer varies
	bad  bool   // the answer was an error that is not shared, or came from a parent that is behind
	soon bool   // the cache did not take the answer, but is likely to take the next
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
		return fl.joinedLocked(), false
	}
	return f.beginLocked(string(key)), true
}

// follows has a request wait for a fetch of another. A client's is not held up by that of a push.
func (r *request) follows(fl *flight) {
	if !r.ofPush() {
		fl.wanted.Store(true)
	}
}

// flies says which flight, which may be nil, the body comes for.
func (r *response) flies(fl *flight) {
	if fl != nil {
		r.body.wanted = &fl.wanted
	}
}

// second returns the fetch that is to be waited for beside one that takes long: another that has begun since, or a new one, which
// is then the caller's to do.
func (f *flights) second(slow *flight) (fl *flight, first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slow.beside != nil {
		return slow.beside.joinedLocked(), false
	}
	fl, ok := f.byKey[slow.key]
	if first = !ok || fl == slow; first {
		fl = f.beginLocked(slow.key)
	}
	slow.beside = fl
	return fl.joinedLocked(), first // the first waits as well
}

func (f *flights) beginLocked(key string) *flight {
	fl := &flight{key: key, began: time.Now()}
	f.byKey[key] = fl
	return fl
}

// joinedLocked is told of everyone who joins, and returns the flight.
func (fl *flight) joinedLocked() *flight {
	if fl.landed == nil {
		fl.landed = make(chan struct{})
		if fl.over {
			close(fl.landed)
		}
	}
	return fl
}

// land tells the waiting what came of a fetch. One whose body is still arriving goes on to be found until leave.
func (f *flights) land(fl *flight, a *answer, arriving bool) {
	if fl == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	fl.fail, fl.vary, fl.soon = a.fail, a.vary, a.soon
	fl.bad = a.again || a.resp != nil && a.status >= http.StatusInternalServerError
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

// arriving returns what the fetch for a key is bringing; nil when there is none, or nothing of it has come.
func (f *flights) arriving(key []byte) *cache.Fill {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl, ok := f.byKey[string(key)]; ok && fl.over {
		return fl.fill
	}
	return nil
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
// other, and go upstream as the client sent them if the cache is not going to take such answers.
type apart struct {
	mu   sync.Mutex // guards the fields below
	keys *simplelru.LRU[uint64, apartKey]
	once *simplelru.LRU[uint64, time.Time] // answers that the cache did not take, but was expected to take the next time
}

type apartKey struct {
	until  time.Time
	useful bool // the cache may come to take what is fetched
}

const (
	apartKeys = 8192
	apartTime = 10 * time.Second
)

func (a *apart) init() {
	a.keys, _ = simplelru.NewLRU[uint64, apartKey](apartKeys, nil) // fails for sizes below 1 only
	a.once, _ = simplelru.NewLRU[uint64, time.Time](apartKeys, nil)
}

func (a *apart) mark(hash uint64, now time.Time, useful bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys.Add(hash, apartKey{now.Add(apartTime), useful})
}

// again reports whether it was called for a hash a while ago already.
func (a *apart) again(hash uint64, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	until, ok := a.once.Get(hash)
	a.once.Add(hash, now.Add(apartTime))
	return ok && !now.After(until)
}

func (a *apart) has(hash uint64, now time.Time) (apart, useful bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key, ok := a.keys.Get(hash)
	if ok && now.After(key.until) {
		a.keys.Remove(hash)
		return false, false
	}
	return ok, key.useful
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
	if k := failureKey(r); k != 0 && s.failures.some.Load() {
		return s.failures.of(k, s.cfg.Now())
	}
	return nil
}

// fetched notes how a fetch went, by the failureKey of its request.
func (s *Server) fetched(key uint64, why *refusal) {
	if key != 0 && (why != nil || s.failures.some.Load()) {
		s.failures.mark(key, s.cfg.Now(), why)
	}
}

// failureKey is what failures are remembered by; 0 for requests whose failures are not.
func failureKey(r *request) uint64 {
	if r.raw == nil || r.trusted { // nodes look after it themselves
		return 0
	}
	return hash(r.key) ^ hash(r.raw)
}
