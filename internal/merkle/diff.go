package merkle

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Difference is a key of which two trees hold different versions. An empty version says that the tree has no such key.
type Difference struct {
	Key           string
	Local, Remote string
}

// Stats tells what a comparison took.
type Stats struct {
	RoundTrips int
	Sent       int // bytes of requests
	Received   int // bytes of answers

	// More says that the comparison ended at its limit and may have more to find.
	More bool
}

// Answer appends the answer to a request of Diff at another node. Nothing is kept between requests: each is about what the tree
// holds at that moment.
func (t *Tree) Answer(to, request []byte) ([]byte, error) {
	questions, err := decodeRequest(request)
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	begin := len(to)
	to = append(to, format)
	for _, q := range questions {
		if len(to)-begin > answerSize {
			break
		}
		r := t.root.find(q.span).reply(q.digest)
		to = r.append(to)
	}
	return to, nil
}

func (n *node) reply(theirs Digest) (r reply) {
	switch {
	case n.sum.digest() == theirs:
		r.kind = same
	case n.count <= few || n.children == nil:
		r.kind, r.entries = contents, n.appendTo(nil)
	default:
		r.kind = inside
		for i, child := range n.children {
			if child != nil {
				r.parts[i] = child.sum.digest()
			}
		}
	}
	return r
}

// Diff finds the keys of which a remote tree holds other versions than the local one, ordered by key, and stops when it has found
// limit of them. Ask carries a request to the Answer of the remote tree, and its answer back; what it fails with ends the
// comparison. What was found until then is returned with any error.
//
// Trees that change meanwhile are compared as they are at each question: each Difference was true when it was found, and what
// changed after its range was looked at is for the next comparison.
func Diff(local *Tree, ask func(request []byte) (answer []byte, err error), limit int) ([]Difference, Stats, error) {
	d := diff{local: local, limit: limit, pending: []question{{digest: local.Root()}}}
	var err error
	for err == nil && len(d.pending) > 0 && len(d.found) < limit {
		err = d.round(ask)
	}
	d.stats.More = len(d.pending) > 0 || len(d.found) > limit
	found := d.found[:min(len(d.found), max(limit, 0))]
	slices.SortFunc(found, func(a, b Difference) int { return cmp.Compare(a.Key, b.Key) })
	return found, d.stats, err
}

type diff struct {
	local   *Tree
	limit   int
	pending []question // a stack; all but the first hold a difference, if nothing changed meanwhile
	found   []Difference
	stats   Stats
	descent int // replies that only led to more questions
}

func (d *diff) round(ask func([]byte) ([]byte, error)) error {
	n := min(len(d.pending), maxRanges, d.limit-len(d.found)) // each range has a difference: more are not needed
	asked := slices.Clone(d.pending[len(d.pending)-n:])
	slices.Reverse(asked)
	request := appendRequest(nil, asked)
	d.stats.RoundTrips++
	d.stats.Sent += len(request)
	answer, err := ask(request)
	if err != nil {
		return fmt.Errorf("ask for %d ranges: %w", n, err)
	}
	d.stats.Received += len(answer)
	replies, err := decodeAnswer(answer, n)
	if err == nil && len(replies) == 0 {
		err = errors.New("it answers no question")
	}
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	d.pending = d.pending[:len(d.pending)-len(replies)]
	d.local.mu.RLock()
	defer d.local.mu.RUnlock()
	for i, r := range slices.Backward(replies) { // the first on top of the stack
		if err := d.take(asked[i].span, r); err != nil {
			return fmt.Errorf("read answer: %w", err)
		}
	}
	return nil
}

func (d *diff) take(s span, r reply) error {
	switch r.kind {
	case inside:
		// Each of limit differences is below a range of each depth, and no more than maxRanges are looked at ahead. Twice
		// that is for what changes meanwhile; more is a neighbour that makes its digests up.
		if d.descent++; s.depth == maxDepth || d.descent > 2*maxDepth*(d.limit+maxRanges) {
			return errors.New("the ranges do not end")
		}
		d.descend(s, r.parts)
	case contents:
		return d.compare(s, r.entries)
	}
	return nil
}

func (d *diff) descend(s span, parts [fanOut]Digest) {
	mine := d.local.root.find(s)
	for i, remote := range slices.Backward(parts[:]) {
		at := s.child(i)
		part := mine.part(at)
		switch digest := part.sum.digest(); {
		case digest == remote:
		case remote == Digest{}:
			for _, e := range part.appendTo(nil) {
				d.found = append(d.found, Difference{Key: e.key, Local: e.version})
			}
		default:
			d.pending = append(d.pending, question{at, digest})
		}
	}
}

// part returns the node of a span that is a child of n's.
func (n *node) part(s span) *node {
	if n.children == nil {
		return n.cut(s)
	}
	return cmp.Or(n.children[nibble(s.at, s.depth-1)], empty)
}

func (d *diff) compare(s span, theirs []entry) error {
	remote := make(map[string]string, len(theirs))
	for _, e := range theirs {
		if !s.holds(position(e.key)) {
			return fmt.Errorf("key %q is not in its range", e.key)
		}
		remote[e.key] = e.version
	}
	for _, e := range d.local.root.find(s).appendTo(nil) {
		if remote[e.key] != e.version {
			d.found = append(d.found, Difference{Key: e.key, Local: e.version, Remote: remote[e.key]})
		}
		delete(remote, e.key)
	}
	for _, e := range theirs {
		if version, left := remote[e.key]; left {
			d.found = append(d.found, Difference{Key: e.key, Remote: version})
			delete(remote, e.key)
		}
	}
	return nil
}
