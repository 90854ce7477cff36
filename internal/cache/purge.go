package cache

import (
	"encoding/binary"
	"strings"

	"github.com/cespare/xxhash/v2"

	"cdnlab/internal/httpcache"
)

// Scope says what a Purge names.
type Scope uint8

// The scopes.
const (
	ScopeKey    Scope = iota // the primary key, with all variants
	ScopePrefix              // all keys that begin with it
	ScopeTag                 // responses with the surrogate key (Surrogate-Key, Cache-Tag)
	ScopeAll
)

// Purge says which responses are no longer to be served as they are.
type Purge struct {
	Scope Scope
	Value string
	Soft  bool   // they are stale from now on, and may be validated or stand in for errors; otherwise they are gone
	Site  string // of ScopeTag: the host whose responses are meant; "" is all
}

// Purge makes the responses that it names unusable, those included whose fetch is under way with a Ticket from before. It takes
// no longer for many than for one: a rule is noted with a generation number, and each response is held against the rules that
// are newer than it when it is next looked up. What nobody asks for any more is evicted in its time.
//
// A store on disk has noted a purge when this returns. It returns the moment of the purge, for FillConfig.Own.
func (s *Store) Purge(p Purge, now int64) Ticket { return s.make(p, false, now) }

// Outdate makes all stale whose keys begin with a prefix. Other than with a soft Purge they are not served while they are validated
// either (RFC 5861 §3): it is not known what has become of them.
func (s *Store) Outdate(prefix string, now int64) {
	s.make(Purge{Scope: ScopePrefix, Value: prefix, Soft: true}, true, now)
}

func (s *Store) make(p Purge, strict bool, now int64) Ticket {
	if s.tier == nil {
		return s.purge(p, strict, now)
	}
	s.tier.logging.Lock()
	defer s.tier.logging.Unlock()
	r := purgeRecord{kind: recordKind(p.Scope), soft: p.Soft, strict: strict, ticket: s.purge(p, strict, now), time: now, value: []byte(p.Value)}
	if p.Scope == ScopeTag {
		r.value = binary.BigEndian.AppendUint64(nil, p.tag())
	}
	s.tier.note(&r, &s.purges)
	return r.ticket
}

func (s *Store) purge(p Purge, strict bool, now int64) Ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case p.Scope == ScopeAll && !p.Soft:
		s.clearLocked()
	case p.Scope == ScopeKey && !p.Soft:
		s.purges.key([]byte(p.Value))
		s.removeLocked(p.Value)
		s.unsaveLocked(p.Value)
	default:
		s.purges.rule(p, stamp{time: now, strict: strict})
	}
	return s.purges.now
}

// Bounds of what is remembered of purges. What is older than that counts as purged, to be safe.
const (
	purgeHistory = 1024    // single keys, for fetches under way
	tagHistory   = 1 << 16 // surrogate keys
	otherHistory = 1024    // prefixes, and soft purges of keys
)

// purgeLog remembers the latest purges, so that what was requested or stored before one is not served after it.
type purgeLog struct {
	now   Ticket // counts purges
	floor Ticket // tickets before it are purged whatever their key: what happened to them is forgotten, or was a purge of all
	ring  [purgeHistory]uint64

	ruled     Ticket // of the latest rule; a response that was checked since needs no other check
	ruleFloor Ticket // responses checked before it are purged: some rule since then is forgotten
	tags      map[uint64]stamps
	tagOrder  ring[tagRule]
	others    ring[otherRule] // oldest first
	allSoft   stamp
}

// stamp is when a rule was made: by the count of purges, and by the clock.
type stamp struct {
	at     Ticket
	time   int64
	strict bool // of Outdate
}

// stamps are the latest rules for a surrogate key.
type stamps struct{ hard, soft stamp }

type tagRule struct {
	hash uint64
	at   Ticket
}

type otherRule struct {
	Purge
	stamp
}

// ring holds the latest of a bounded number of values.
type ring[T any] struct{ list []T }

// push appends a value and returns the oldest one when there are more than most.
func (r *ring[T]) push(v T, most int) (oldest T, full bool) {
	if len(r.list) == most {
		oldest, full = r.list[0], true
		r.list = r.list[1:] // append moves the rest once the room behind is used up
	}
	r.list = append(r.list, v)
	return oldest, full
}

func (l *purgeLog) key(key []byte) {
	l.ring[l.now%purgeHistory] = xxhash.Sum64(key)
	l.now++
	if l.now > l.floor+purgeHistory {
		l.floor = l.now - purgeHistory
	}
}

func (l *purgeLog) all() {
	l.now++
	l.floor, l.ruled, l.ruleFloor = l.now, l.now, l.now
}

// rule notes a purge that lookups have to find out about.
func (l *purgeLog) rule(p Purge, at stamp) {
	l.key(nil) // a ticket of its own; no key is empty
	l.ruled = l.now
	at.at = l.now
	if p.Scope == ScopeTag {
		l.tag(p.tag(), p.Soft, at)
	} else {
		l.other(p, at)
	}
}

// tag notes a rule for a surrogate key.
func (l *purgeLog) tag(hash uint64, soft bool, at stamp) {
	if l.tags == nil {
		l.tags = map[uint64]stamps{}
	}
	s := l.tags[hash]
	if soft {
		s.soft = at
	} else {
		s.hard = at
	}
	l.tags[hash] = s
	if oldest, full := l.tagOrder.push(tagRule{hash, at.at}, tagHistory); full {
		l.ruleFloor = max(l.ruleFloor, oldest.at)
		if s := l.tags[oldest.hash]; max(s.hard.at, s.soft.at) == oldest.at {
			delete(l.tags, oldest.hash)
		}
	}
}

// other notes a rule for keys, or for all.
func (l *purgeLog) other(p Purge, at stamp) {
	if p.Scope == ScopeAll {
		l.allSoft = at
		return
	}
	if oldest, full := l.others.push(otherRule{p, at}, otherHistory); full {
		l.ruleFloor = max(l.ruleFloor, oldest.at)
	}
}

// since reports whether the key was purged after the ticket was taken, by another purge than the one at but.
func (l *purgeLog) since(t Ticket, key []byte, but Ticket) bool {
	if t < l.floor {
		return true
	}
	if t == l.now {
		return false
	}
	hash := xxhash.Sum64(key)
	for ; t < l.now; t++ {
		if l.ring[t%purgeHistory] == hash && t+1 != but {
			return true
		}
	}
	return false
}

// verdict holds a response against the rules since it was last checked: gone, or stale since an instant; 0 for neither.
func (l *purgeLog) verdict(key string, tags []uint64, checked Ticket) (gone bool, stale int64, strict bool) {
	if checked < l.ruleFloor {
		return true, 0, false
	}
	soft := func(s stamp) {
		if s.at <= checked {
			return
		}
		strict = strict || s.strict
		if stale == 0 || s.time < stale {
			stale = s.time
		}
	}
	soft(l.allSoft)
	site := xxhash.Sum64String(hostOf(key))
	for _, t := range tags {
		for _, hash := range [...]uint64{t, tagAt(site, t)} {
			s := l.tags[hash]
			gone = gone || s.hard.at > checked
			soft(s.soft)
		}
	}
	for i := len(l.others.list) - 1; i >= 0 && l.others.list[i].at > checked; i-- {
		if r := &l.others.list[i]; r.names(key) {
			gone = gone || !r.Soft
			if r.Soft {
				soft(r.stamp)
			}
		}
	}
	return gone, stale, strict
}

// names reports whether a rule for keys is about this one, which may be a variant's.
func (r *otherRule) names(key string) bool {
	rest, ok := strings.CutPrefix(key, r.Value)
	return ok && (r.Scope == ScopePrefix || rest == "" || rest[0] == 0)
}

// judge returns an object as the purges since it was last looked at have left it: gone, or stale.
func (l *purgeLog) judge(o *Object, ks *kinds) (_ *Object, gone bool) {
	if o.checked >= l.ruled {
		return o, false
	}
	r := o.more()
	gone, stale, strict := l.verdict(o.key(), r.tags, o.checked)
	if stale == 0 || gone || r.variants != nil {
		return o, gone
	}
	aged := o.parts()
	aged.meta.Lifetime = min(aged.meta.Lifetime, max(0, aged.meta.Age(stale)))
	if strict {
		aged.meta.StaleWhileRevalidate = 0
	}
	aged.checked = l.ruled
	return aged.build(ks), false
}

// currentLocked returns an entry as the purges since it was last looked up have left it; ok is false when they have taken it.
func (s *Store) currentLocked(o *Object) *Object {
	if o.checked >= s.purges.ruled {
		return o
	}
	now, gone := s.purges.judge(o, s.kinds)
	switch {
	case gone:
		s.removeLocked(o.key())
		s.unsaveLocked(o.key())
		return nil
	case now == o:
		o.checked = s.purges.ruled
	case !s.storeLocked(now):
		return nil
	}
	return now
}

// maxTags bounds the surrogate keys of one response.
const maxTags = 1024

// tagHash is the same in every process: it outlives them on disk.
func tagHash(tag string) uint64 { return xxhash.Sum64String(tag) }

// tagAt is the hash of a surrogate key at one site alone.
func tagAt(site, tag uint64) uint64 {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], site)
	binary.BigEndian.PutUint64(b[8:], tag)
	return xxhash.Sum64(b[:])
}

func (p *Purge) tag() uint64 {
	if p.Site == "" {
		return tagHash(p.Value)
	}
	return tagAt(xxhash.Sum64String(p.Site), tagHash(p.Value))
}

// hostOf returns the host that a key begins with.
func hostOf(key string) string {
	host, _, _ := strings.Cut(key, "/")
	return host
}

// tagsOf returns the hashes of the surrogate keys of a response: those of Surrogate-Key have spaces between them, those of
// Cache-Tag commas. ok is false when there are too many to look after.
func tagsOf(h httpcache.Header) (tags []uint64, ok bool) {
	for name, value := range h.All() {
		var separator func(rune) bool
		switch {
		case strings.EqualFold(name, "Surrogate-Key"):
			separator = func(c rune) bool { return c == ' ' || c == '\t' }
		case strings.EqualFold(name, "Cache-Tag"):
			separator = func(c rune) bool { return c == ',' }
		default:
			continue
		}
		for tag := range strings.FieldsFuncSeq(value, separator) {
			if tag = strings.Trim(tag, " \t"); tag != "" {
				tags = append(tags, tagHash(tag))
			}
		}
	}
	return tags, len(tags) <= maxTags
}
