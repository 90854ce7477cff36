package scrubber

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"sync/atomic"
	"time"
)

// MaxRules is how many rules there can be.
const MaxRules = 64

// defaultMemory holds the states of 262,144 keys, or of fewer when they are logs.
const defaultMemory = 8 << 20

// Config is what a Limits is made of. Without rules it has its block list alone.
type Config struct {
	Rules   []Rule
	Trusted []netip.Prefix // the proxies whose X-Forwarded-For is believed
	Memory  int64          // bytes for the keys of each rule; 8 MiB when 0
	Seed    [16]byte       // the secret by which keys are hashed; a random one when all zero
	// MaxHeld bounds the requests that are held back at the same time: one that would be another is refused. Who checks then calls
	// Release for each request that passes with a Delay, once that is over. 0 sets no bound and counts none.
	MaxHeld int
}

// Limits decides whether requests may pass: by a block list first, then by every rule that is about them. Its methods may be
// called concurrently.
//
// Instants are nanoseconds since an instant of the caller's choice, of a clock that does not step back.
type Limits struct {
	rules   []rule
	tables  []*table
	trusted []netip.Prefix
	secret  sipKey
	list    blocklist
	counts  counts
	maxHeld int64
	held    atomic.Int64 // at most maxHeld, but for those that find out
}

// New reserves the memory. The error names every fault of the rules.
func New(c Config) (*Limits, error) {
	if c.Memory == 0 {
		c.Memory = defaultMemory
	}
	if c.Seed == [16]byte{} {
		rand.Read(c.Seed[:]) // never fails
	}
	var faults []error
	if c.MaxHeld < 0 {
		faults = append(faults, fmt.Errorf("held: %d are less than none", c.MaxHeld))
	}
	if len(c.Rules) > MaxRules {
		faults = append(faults, fmt.Errorf("%d rules are more than %d", len(c.Rules), MaxRules))
	}
	l := &Limits{secret: newSipKey(c.Seed), rules: make([]rule, len(c.Rules)), tables: make([]*table, len(c.Rules))}
	names := map[string]bool{}
	for i, r := range c.Rules {
		var err error
		if names[r.Name] {
			faults = append(faults, fmt.Errorf("rule %s: there are two of this name", r.Name))
		}
		names[r.Name] = true
		if l.rules[i], err = newRule(r); err != nil {
			faults = append(faults, err)
		} else if l.tables[i], err = newTable(&l.rules[i].law, c.Memory); err != nil {
			faults = append(faults, fmt.Errorf("rule %s: %w", r.Name, err))
		}
	}
	for _, p := range c.Trusted {
		p, err := normal(p)
		if err != nil {
			faults = append(faults, fmt.Errorf("trusted: %w", err))
		}
		l.trusted = append(l.trusted, p)
	}
	if faults != nil {
		return nil, fmt.Errorf("make limits: %w", errors.Join(faults...))
	}
	l.list.secret = l.secret
	l.counts = newCounts(len(c.Rules))
	l.maxHeld = int64(c.MaxHeld)
	return l, nil
}

// Decision is the answer to a request. A request that no rule is about passes.
type Decision struct {
	Verdict
	Rule    string // whose limit the verdict is; "" when no rule was about the request, or a person blocked the client
	Blocked bool   // the client is on the block list
	Limit   int64  // the most that Remaining can be; 0 without a rule

	rule *rule
	held bool // has a place among the held
}

// Check decides about a request. All rules that are about it must let it pass; then all of them count it, otherwise none does.
// The strictest is the one that decides: of those that refuse it the one that does so for the longest, else the one with the
// least remaining; its delay is the longest of all. A rule that refuses a request and whose response is Block puts the client
// on the block list.
//
// It allocates nothing, unless it blocks a client.
func (l *Limits) Check(now int64, q Request) Decision {
	tally := l.counts.shard(q.Client)
	if e, ok := l.list.find(now, q.Client); ok {
		return l.listed(e, now, tally)
	}
	var d Decision
	blocks := l.check(0, now, &q, true, tally, &d)
	if d.held && !d.OK {
		l.Release()
	}
	for ; blocks != 0; blocks &= blocks - 1 {
		i := bits.TrailingZeros64(blocks)
		r := &l.rules[i]
		e := Entry{Prefix: r.blocked(q.Client), Until: now + int64(r.BlockFor), By: r.Name}
		if added, _ := l.list.add(now, e); added { // when the list is full the request is refused all the same
			tally.add(i, made)
		}
	}
	return d
}

// check asks the rules from the i-th on; pass says that those before would let the request pass. It keeps the state of each
// rule locked until the others have answered, always in the order of the rules. blocks has a bit for each rule that blocks.
func (l *Limits) check(i int, now int64, q *Request, pass bool, tally tally, d *Decision) (blocks uint64) {
	for i < len(l.rules) && !l.rules[i].matches(q) {
		i++
	}
	if i == len(l.rules) {
		d.OK = true
		return 0
	}
	r := &l.rules[i]
	class, cost := r.class(q.Path)
	slot, s, log := l.tables[i].find(r.key(l.secret, q, class))
	next, v := r.law.peek(s, log, now, cost)
	if pass && v.OK && v.Delay > 0 && !l.hold(d) {
		v = Verdict{Crowded: true, Reset: v.Reset, RetryAfter: v.Delay}
	}
	blocks = l.check(i+1, now, q, pass && v.OK, tally, d)
	pass = pass && v.OK && d.OK
	if pass && cost > 0 {
		slot.commit(next, cost, now)
	}
	slot.release()
	switch {
	case !v.OK:
		tally.add(i, refused)
		if r.Response == Block && !v.Crowded {
			blocks |= 1 << i
		}
	case pass && v.Delay > 0:
		tally.add(i, delayed)
	case pass:
		tally.add(i, passed)
	}
	d.merge(r, &v)
	return blocks
}

// hold gives the request of a decision a place among the held, if there is one.
func (l *Limits) hold(d *Decision) bool {
	if l.maxHeld == 0 || d.held {
		return true
	}
	d.held = l.held.Add(1) <= l.maxHeld
	if !d.held {
		l.Release()
	}
	return d.held
}

// Release ends the hold of a request that passed with a Delay, whatever has ended it. It is for a Limits with a MaxHeld alone.
func (l *Limits) Release() { l.held.Add(-1) }

// Held is how many requests are held back; 0 without a MaxHeld.
func (l *Limits) Held() int { return int(min(l.held.Load(), l.maxHeld)) }

// merge keeps the stricter one of d, the decision of the rules behind r, and v, the verdict of r.
func (d *Decision) merge(r *rule, v *Verdict) {
	delay := max(d.Delay, v.Delay)
	if d.rule == nil || stricter(v, &d.Verdict) {
		d.Verdict, d.Rule, d.Limit, d.rule = *v, r.Name, r.law.quota, r
	}
	if d.OK {
		d.Delay = delay
	}
}

// stricter reports whether the verdict of a rule is at least as strict as that of those behind it.
func stricter(v, behind *Verdict) bool {
	switch {
	case v.OK != behind.OK:
		return !v.OK
	case !v.OK:
		return v.RetryAfter >= behind.RetryAfter
	}
	return v.Remaining <= behind.Remaining
}

// listed is the decision about a client on the block list.
func (l *Limits) listed(e Entry, now int64, tally tally) Decision {
	left := e.Left(now)
	d := Decision{Verdict: Verdict{Reset: left, RetryAfter: left}, Rule: e.By, Blocked: true}
	by := len(l.rules)
	for i := range l.rules {
		if l.rules[i].Name == e.By {
			by, d.rule, d.Limit = i, &l.rules[i], l.rules[i].law.quota
		}
	}
	tally.add(by, listed)
	return d
}

// Block puts a prefix on the block list for a time, or until Unblock when ttl is 0, in the place of any entry for the same
// prefix. The error is ErrFull, or names what is wrong.
func (l *Limits) Block(now int64, p netip.Prefix, ttl time.Duration) error {
	until := int64(math.MaxInt64)
	if ttl < 0 {
		return fmt.Errorf("block %s for %v: less than no time", p, ttl)
	}
	if ttl > 0 && int64(ttl) < until-now {
		until = now + int64(ttl)
	}
	_, err := l.list.add(now, Entry{Prefix: p, Until: until, By: Manual})
	return err
}

// Unblock takes a prefix off the block list, whoever put it there, and reports whether it was on it. Longer and shorter
// prefixes stay.
func (l *Limits) Unblock(now int64, p netip.Prefix) bool { return l.list.remove(now, p) }

// Blocked lists what is blocked, by address.
func (l *Limits) Blocked(now int64) []Entry { return l.list.list(now) }
