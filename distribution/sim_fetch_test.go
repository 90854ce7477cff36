package distribution

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"cdnlab/internal/cache"
	"cdnlab/internal/httpcache"
	"cdnlab/internal/journal"
	"cdnlab/topology"
)

// simCutOff is for how long nodes serve what they have stored without word from the tree.
const simCutOff = 4 * time.Second

// simSink does at a node what events say, as package proxy does. Requests come before and behind the purge of the store: the two are
// not one step.
type simSink struct {
	*simNode
	Puller // nothing is pushed
}

func (s simSink) Apply(e journal.Event) {
	if e.Kind != journal.Purge {
		return
	}
	s.meanwhile()
	p := cache.Purge{Soft: e.Soft, Scope: cache.ScopeKey, Value: e.Site + e.Value}
	switch e.Scope {
	case journal.ScopePrefix:
		p.Scope = cache.ScopePrefix
	case journal.ScopeKey:
		p.Scope, p.Value, p.Site = cache.ScopeTag, e.Value, e.Site
	case journal.ScopeAll:
		p.Scope, p.Value = cache.ScopePrefix, e.Site+"/"
	}
	s.store.Purge(p, s.w.now)
	clear(s.flights)
	s.meanwhile()
}

func (s simSink) Outdated(string) {
	s.w.figures["outdated"]++
	s.w.say("%s: all is outdated", s.node.Name)
	s.meanwhile()
	s.store.Outdate("www.cdn.test/", s.w.now)
	clear(s.flights)
	for range 5 { // it is rare
		s.meanwhile()
	}
}

// meanwhile has a client come, or a child ask.
func (s simSink) meanwhile() {
	w := s.w
	switch w.rng.IntN(6) {
	case 0:
		s.client(w.key())
	case 1:
		if n := len(s.children); n > 0 {
			child := s.children[w.rng.IntN(n)].child
			if child.up {
				child.fetch(w.key(), nil, []topology.NodeName{s.node.Name}, true, func(served) {})
			}
		}
	}
}

// simFlight is a fetch that others wait for.
type simFlight struct {
	landed  bool
	version int
	waiting []func()
}

// served is what a request gets.
type served struct {
	version int
	how     string
	fresh   bool             // out of the store, as fresh
	passed  bool             // from a parent that is behind, not stored
	at      journal.Position // of that one
	failed  bool
}

func versionOf(h httpcache.Header) int {
	v, _ := strconv.Atoi(strings.Trim(h.Get("ETag"), `"`)) // as it was made
	return v
}

func getAsk() *httpcache.Ask {
	a := &httpcache.Ask{}
	a.Reset([]byte("GET"))
	return a
}

// lookup answers a request of a client, or of a child.
func (n *simNode) lookup(key string, ofChild bool, done func(served)) {
	w := n.w
	obj, _ := n.store.Find([]byte(key), getAsk())
	if obj != nil {
		meta := obj.Meta()
		outcome := httpcache.Decide(w.now, &meta, getAsk()).Outcome
		if n.feed.Doubtful(w.clock(), simCutOff) && outcome != httpcache.Revalidate {
			w.figures["doubted"]++
			outcome = httpcache.Revalidate
		}
		switch {
		case outcome == httpcache.Hit:
			done(served{version: versionOf(obj.Header()), how: "hit", fresh: true})
			return
		case outcome == httpcache.HitRevalidate && !ofChild:
			done(served{version: versionOf(obj.Header()), how: "stale hit"})
			n.fetch(key, obj, nil, false, func(served) {})
			return
		}
	}
	f := n.flights[key]
	switch {
	case f == nil:
		n.fetch(key, obj, nil, true, done)
	case f.landed:
		done(served{version: f.version, how: "joined"})
	default:
		f.waiting = append(f.waiting, func() {
			if f.landed {
				done(served{version: f.version, how: "joined"})
			} else {
				n.fetch(key, nil, nil, false, done)
			}
		})
	}
}

// answer is what a parent says.
type parentAnswer struct {
	version int
	at      journal.Position
	same    bool // 304
	ok      bool
}

// fetch asks the parents for an object, one after the other.
func (n *simNode) fetch(key string, old *cache.Object, parents []topology.NodeName, shared bool, done func(served)) {
	w, life := n.w, n.life
	var f *simFlight
	if shared && n.flights[key] == nil {
		f = &simFlight{}
		n.flights[key] = f
	}
	land := func() {
		if f == nil {
			return
		}
		if !f.landed && n.flights[key] == f {
			delete(n.flights, key)
		}
		for _, next := range f.waiting {
			next()
		}
		f.waiting = nil
	}
	if parents == nil {
		for i := range n.list {
			parents = append(parents, n.list[i].node.Name)
		}
		w.rng.Shuffle(len(parents)-1, func(i, j int) { parents[i], parents[j] = parents[j], parents[i] })
	}
	etag := 0
	if old != nil {
		etag = versionOf(old.Header())
	}
	ticket, claimed := n.store.Ticket(), n.feed.Claimed()
	var last parentAnswer
	var try func(i int)
	try = func(i int) {
		switch {
		case i < len(parents):
			n.ask(parents[i], key, etag, func(a parentAnswer) {
				if n.life != life || !n.up {
					return
				}
				switch {
				case !a.ok:
					try(i + 1)
				case !n.feed.Admit(claimed, a.at, true):
					w.figures["behind"]++
					last = a
					try(i + 1)
				case a.same && old != nil:
					n.freshen(key, old, a)
					done(served{version: a.version, how: "validated"})
					land()
				default:
					n.fill(key, f, a, ticket)
					done(served{version: a.version, how: "fetched"})
					land()
				}
			})
		case last.ok:
			w.figures["passed"]++
			done(served{version: last.version, how: "passed", passed: true, at: last.at})
			land()
		default:
			done(served{failed: true})
			land()
		}
	}
	try(0)
}

func (n *simNode) response(key string, status int, a parentAnswer) *httpcache.Response {
	tag := "t" + key[len(key)-1:]
	return &httpcache.Response{Status: status, RequestTime: n.w.now, ResponseTime: n.w.now, Header: httpcache.MakeHeader(
		"Cache-Control", "max-age=600, stale-while-revalidate=600", "ETag", fmt.Sprintf("%q", strconv.Itoa(a.version)), "Surrogate-Key", tag)}
}

func (n *simNode) freshen(key string, old *cache.Object, a parentAnswer) {
	stored := old.Stored()
	if adm, ok := httpcache.Freshen(&stored, getAsk(), n.response(key, 304, a), &httpcache.Policy{}); ok {
		n.store.Replace(old, adm)
	}
}

// fill stores an answer, the body of which takes a while to come.
func (n *simNode) fill(key string, f *simFlight, a parentAnswer, ticket cache.Ticket) {
	adm := httpcache.Admit(getAsk(), n.response(key, 200, a), &httpcache.Policy{})
	fill := n.store.Begin(cache.FillConfig{Key: []byte(key), Ask: getAsk(), Admission: adm, Length: 1, Ticket: ticket})
	if f != nil {
		f.landed, f.version = true, a.version
	}
	life := n.life
	n.w.after(n.w.upTo(3*time.Second), func() {
		if n.life != life || !n.up {
			return
		}
		_, _ = fill.Write([]byte("x")) // neither fails: the store has room
		_, _ = fill.Complete()
		if f != nil && n.flights[key] == f {
			delete(n.flights, key)
		}
	})
}

// ask sends a request to a parent.
func (n *simNode) ask(name topology.NodeName, key string, etag int, got func(parentAnswer)) {
	w := n.w
	w.after(w.upTo(3*time.Second), func() {
		to := w.nodes[name]
		reply := func(a parentAnswer) {
			a.same = a.ok && etag == a.version
			w.after(w.upTo(3*time.Second), func() {
				if w.cut(n.node.Name, name) {
					a = parentAnswer{}
				}
				got(a)
			})
		}
		switch {
		case w.cut(n.node.Name, name) || to == nil && w.root == nil || to != nil && !to.up:
			reply(parentAnswer{})
		case to == nil:
			reply(parentAnswer{version: w.versions[key], at: w.root.Position(), ok: true})
		default:
			at, life := to.feed.Applied(), to.life
			to.lookup(key, true, func(s served) {
				switch {
				case to.life != life || s.failed:
					reply(parentAnswer{})
					return
				case s.passed:
					at = s.at
				case at.Epoch == 0:
					at = to.feed.Base()
				}
				reply(parentAnswer{version: s.version, at: at, ok: true})
			})
		}
	})
}

// client asks a node for an object, and holds what it gets against what was purged when it asked.
func (n *simNode) client(key string) {
	if !n.up {
		return
	}
	w := n.w
	hard, soft := w.least(n, key)
	began := w.now
	doubt := n.feed.Doubtful(w.clock(), simCutOff)
	n.lookup(key, false, func(s served) {
		if s.failed {
			w.figures["failed"]++
			return
		}
		w.figures[s.how]++
		if s.passed {
			return // of a parent that is not alive: this node alone would not serve it
		}
		if s.version < hard || s.fresh && s.version < soft {
			w.fail("%s, at %v, serves %s in version %d to a request of %.3f (%s, in doubt then: %v): %d was purged, %d softly",
				n.node.Name, n.feed.Applied(), key, s.version, float64(began)/1e9, s.how, doubt, hard, soft)
		}
	})
}
