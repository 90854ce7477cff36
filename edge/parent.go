package edge

import (
	"slices"
	"time"

	"cdnlab/internal/ring"
)

// How long a parent that failed is left alone: doubled with every further failure.
const (
	firstBackOff = time.Second
	maxBackOff   = 8 * time.Second
	maxTrial     = 10 * time.Second // a trial that was not reported on is forgotten
)

// maxTries is how many parents are named for one request, the origin among them.
const maxTries = 4

// health is what requests and probes have shown of a server. A failure of a request opens the circuit for a while; then the server
// is probed each second, and is up when it answers. Should no probe tell in time, one request is let through to see. Only requests
// show that the server is well: one that answers probes and fails requests is left alone ever longer.
type health struct {
	failures int       // of requests, in a row
	down     bool      // the last that was heard is a failure
	slow     bool      // of a request, which took all the time that it had
	until    time.Time // left alone before
	trial    time.Time // when a request was let through to see; zero when none is under way
}

// up reports whether the server may be tried for sure.
func (h *health) up() bool { return !h.down }

// due reports whether the server is to be probed.
func (h *health) due(now time.Time) bool { return h.down && !now.Before(h.until) }

// probed takes the result of a probe. While probes fail in time no request has to be a trial.
func (h *health) probed(ok bool, now time.Time) {
	switch next := now.Add(probeEvery); {
	case ok:
		h.down, h.trial = false, time.Time{}
	case h.until.Before(next):
		h.until = next
	}
}

// admit reports whether a request may try the server now. One that has failed gets its trial only from a request that tries
// it first: a spare is mostly not tried, so that nothing would be reported of it.
func (h *health) admit(first bool, now time.Time) bool {
	if h.up() {
		return true
	}
	if now.Before(h.until.Add(grace)) || now.Sub(h.trial) < maxTrial {
		return false
	}
	if first {
		h.trial = now
	}
	return true
}

// report takes the result of a try. Failures of a server that is left alone already are of requests that were under way when
// it failed: they tell nothing new.
func (h *health) report(ok bool, now time.Time) {
	if !ok && !h.up() && now.Before(h.until) {
		return
	}
	h.trial = time.Time{}
	if h.down = !ok; ok {
		h.failures = 0
		return
	}
	h.until = now.Add(min(firstBackOff<<min(h.failures, 10), maxBackOff))
	h.failures++
}

// choose names the servers to try for an object, best first, in dst, which is empty: the groups in their order, and within a
// group the servers by its ring, so that each object has one home while that is not busier than the others, and losing a server
// moves only its own objects. The last group is the origin's, which is named whatever its health. When nothing is healthy all
// are named, but for those that would have a client wait until the time is up: probes tell soon enough that one is back.
func choose(dst []pick, groups []group, hash uint64, now time.Time) []pick {
	dst = gather(dst, groups, hash, func(h *health, first bool) bool { return h.admit(first, now) })
	if last := &groups[len(groups)-1]; len(dst) == 1 && !last.health[0].up() {
		dst = gather(dst[:0], groups, hash, func(h *health, _ bool) bool { return !h.slow })
	}
	return dst
}

// pick names a server.
type pick struct{ group, server int }

// group is one tier's servers in one place.
type group struct {
	ring   func() *ring.Ring // of the servers; not called for a single one
	health []*health         // a server may be in the groups of several chains; its health is one
	load   func(i int) int64 // requests under way to a server
}

// maxOfGroup is how many servers of one hub are named for a request: what two of them cannot bring is better had elsewhere.
const maxOfGroup = 2

func gather(dst []pick, groups []group, hash uint64, admit func(h *health, first bool) bool) []pick {
	last := len(groups) - 1
	for g := range groups[:last] {
		var room [maxServers]int
		named := 0
		for _, i := range groups[g].order(room[:0], hash) {
			if len(dst) == maxTries-1 || named == maxOfGroup {
				break
			}
			if admit(groups[g].health[i], len(dst) == 0) {
				dst = append(dst, pick{g, i})
				named++
			}
		}
	}
	return append(dst, pick{last, 0})
}

// maxServers is how many servers of a group are looked at without allocating.
const maxServers = 16

// order appends the servers of a group for an object, best first: the one that bounded loads give it to, then the others clockwise.
func (g *group) order(dst []int, hash uint64) []int {
	n := len(g.health)
	if n == 1 {
		return append(dst, 0)
	}
	r := g.ring()
	var room [maxServers]int64
	loads := room[:0]
	for i := range n {
		loads = append(loads, g.load(i))
	}
	best := r.Bounded(hash, loads, ring.Bound)
	dst = r.Owners(dst, hash, n)
	at := slices.Index(dst, best)
	copy(dst[1:at+1], dst[:at])
	dst[0] = best
	return dst
}
