package evict

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"
)

func newPolicy(tb testing.TB, name string, capacity int64) Policy {
	tb.Helper()
	p, err := New(name, Config{Capacity: capacity, Rand: rand.New(rand.NewPCG(1, 2))})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// add adds a node that expires at an instant, which most policies do not care about.
func add(p Policy, n *Node, expires int64) {
	if e, ok := p.(Expirer); ok {
		e.AddExpiring(n, expires)
		return
	}
	p.Add(n)
}

// script drives a policy: "+a" adds a, "+a:3" one of size 3, "+a@9" one that expires at 9, "a" is a use of it, "-a" removes
// it, "?" asks for a victim. It returns the victims.
func script(tb testing.TB, p Policy, steps string) string {
	tb.Helper()
	nodes, held := map[string]*Node{}, map[string]*Node{} // a node is used again when its name returns
	names := map[*Node]string{}
	var victims strings.Builder
	for _, step := range strings.Fields(steps) {
		switch name := step[1:]; {
		case step == "?":
			n := p.Victim()
			victims.WriteString(names[n])
			delete(held, names[n])
		case step[0] == '+':
			n := nodes[name[:1]]
			if n == nil {
				n = &Node{Hash: mix(uint64(name[0])), Size: 1}
				nodes[name[:1]], names[n] = n, name[:1]
			}
			expires := int64(0)
			switch value := name[1:]; {
			case value == "":
			case value[0] == ':':
				n.Size = int64(value[1] - '0')
			default:
				expires = int64(value[1] - '0')
			}
			held[name[:1]] = n
			add(p, n, expires)
		case step[0] == '-':
			p.Remove(held[name])
			delete(held, name)
		default:
			p.Hit(held[step])
		}
		if p.Len() != len(held) {
			tb.Fatalf("after %s of %q: Len() = %d, want %d", step, steps, p.Len(), len(held))
		}
	}
	return victims.String()
}

func TestVictims(t *testing.T) {
	tests := []struct{ name, policy, steps, want string }{
		{"nothing held", "lru", "? +a ? ?", "a"},
		{"oldest first without a use", "lru", "+a +b +c ? ? ?", "abc"},
		{"a use makes it the newest", "lru", "+a +b +c a b a ? ? ?", "cba"},
		{"a use of the newest changes nothing", "lru", "+a +b b b ? ?", "ab"},
		{"removed from head, middle and tail", "lru", "+a +b +c +d +e -a -c -e ? ?", "bd"},

		{"a use changes nothing", "fifo", "+a +b +c a a ? ? ?", "abc"},
		{"nothing held", "fifo", "?", ""},

		{"the least used first", "lfu", "+a +b +c a a b ? ? ?", "cba"},
		{"of equals, the first to come to that frequency", "lfu", "+a +b +c b a c ? ? ?", "bac"},
		{"a new one goes before those used", "lfu", "+a +b a b ? +c ? ?", "acb"},
		{"a gap between frequencies", "lfu", "+a +b a a a a b b b +c c c ? ? ?", "cba"},
		{"alone in a bucket, it joins the next", "lfu", "+a +b a a b b ? ?", "ab"},
		{"removed from the chain's middle", "lfu", "+a +b +c a a a b b -b ? ?", "ca"},
		{"a bucket used again", "lfu", "+a a ? +b b b ? +c ?", "abc"},
		{"nothing held", "lfu", "? +a ? ?", "a"},

		{"what expires first", "ttl", "+a@5 +b@3 +c@9 +d@1 ? ? ? ?", "dbac"},
		{"a use changes nothing for what expires", "ttl", "+a@5 +b@3 b ? ?", "ba"},
		{"of equals, the first added", "ttl", "+a@5 +b@5 +c@5 a ? ? ?", "abc"},
		{"never goes last, least recently used first", "ttl", "+a +b +c@9 +d a ? ? ? ?", "cbda"},
		{"removed from both", "ttl", "+a +b@9 +c@3 +d -c -a ? ?", "bd"},
		{"nothing held", "ttl", "?", ""},

		{"oldest first without a use", "sieve", "+a +b +c ? ? ?", "abc"},
		{"what was used is spared once", "sieve", "+a +b +c a ? ? ?", "bca"},
		{"the hand stays where it stopped", "sieve", "+a +b +c +d a b ? +e ? ? ? ?", "cdeab"},
		{"the hand wraps around when all are used", "sieve", "+a +b +c a b c ? ? ?", "abc"},
		{"the node under the hand is removed", "sieve", "+a +b +c +d a ? -c ? ?", "bda"},
		{"an earlier stay does not count", "sieve", "+a a -a +a +b ? ?", "ab"},
		{"nothing held", "sieve", "? +a a ? ?", "a"},

		{"the largest first", "gdsf", "+a:2 +b:9 +c:4 ? ? ?", "bca"},
		{"uses make up for size", "gdsf", "+a:2 +b:6 b b b ? ?", "ab"},
		{"of equals, the least recently used", "gdsf", "+a:2 +b:2 +c:4 c ? ? ?", "abc"},
		{"age counts for what comes later", "gdsf", "+a:1 +b:2 ? +c:2 ? ?", "bac"},
		{"removed from the middle", "gdsf", "+a:5 +b:4 +c:3 +d:2 +e:1 -c -a ? ? ?", "bde"},
		{"no size counts as one", "gdsf", "+a:0 +b:1 b ? ?", "ab"},
		{"nothing held", "gdsf", "?", ""},

		{"oldest first without a use", "s3fifo", "+a +b +c ? ? ?", "abc"},
		{"one use is not enough", "s3fifo", "+a +b a ? ?", "ab"},
		{"two uses promote", "s3fifo", "+a +b a a ? ? ?", "ba"},
		{"the main queue goes round for each use", "s3fifo", "+a +b +c a a b b ? a b b ? ?", "cab"},
		{"rounds end after three uses", "s3fifo", "+a +b +c a a b b ? a a a a a b b b ? ?", "cab"},
		{"uses in the small queue do not count in the main one", "s3fifo", "+a +b +c a a a a b b ? ? ?", "cab"},
		{"what returns from the ghost enters the main queue", "s3fifo", "+a ? +a +b +c ? ? ?", "abca"},
		{"the ghost forgets what returned", "s3fifo", "+a ? +a -a +a +b ? ?", "aab"},
		{"what was removed is no ghost", "s3fifo", "+a -a +a +b ? ?", "ab"},
		{"removed from both", "s3fifo", "+a +b +c +d +e a a b b ? -a -d ? ?", "ceb"},
		{"nothing held", "s3fifo", "?", ""},

		{"oldest first without a use", "wtinylfu", "+a +b +c ? ? ?", "abc"},
		{"a use protects", "wtinylfu", "+a +b +c ? b +d ? ? ?", "acdb"},
		{"nothing held", "wtinylfu", "?", ""},

		{"nothing held", "random", "? +a ? ?", "a"},
	}
	for _, test := range tests {
		t.Run(test.policy+": "+test.name, func(t *testing.T) {
			if got := script(t, newPolicy(t, test.policy, 100), test.steps); got != test.want {
				t.Errorf("victims of %q = %q, want %q", test.steps, got, test.want)
			}
		})
	}
}

func TestRandomIsEven(t *testing.T) {
	const rounds = 40000
	p := newPolicy(t, "random", 10)
	var nodes [4]Node
	for i := range nodes {
		p.Add(&nodes[i])
	}
	victims := map[*Node]int{}
	for range rounds {
		n := p.Victim()
		victims[n]++
		p.Add(n)
	}
	for i := range nodes {
		if got := victims[&nodes[i]]; got < rounds/4*97/100 || got > rounds/4*103/100 {
			t.Errorf("victim %d of 4 was chosen %d times of %d, want a quarter", i, got, rounds)
		}
	}
}

func TestTTLBeforeTheClockStarts(t *testing.T) {
	p := newPolicy(t, "ttl", 10)
	var past, future Node
	add(p, &future, 5)
	add(p, &past, -5)
	if got := p.Victim(); got != &past {
		t.Errorf("Victim() = %+v, want what expires at -5", got)
	}
}

func TestShares(t *testing.T) {
	s := newPolicy(t, "s3fifo", 1000).(*s3fifo)
	if s.smallSize != 100 || s.mainSize != 900 || s.ghost.capacity != 900 {
		t.Errorf("s3fifo of 1000: small %d, main %d, ghost %d, want 100, 900, 900", s.smallSize, s.mainSize, s.ghost.capacity)
	}
	w := newPolicy(t, "wtinylfu", 1000).(*wtinylfu)
	if w.windowSize != 10 || w.mainSize != 990 || w.protectedSize != 792 {
		t.Errorf("wtinylfu of 1000: window %d, main %d, protected %d, want 10, 990, 792", w.windowSize, w.mainSize, w.protectedSize)
	}
}

func TestNewRejects(t *testing.T) {
	tests := []struct {
		name, policy string
		config       Config
		want         string
	}{
		{"unknown name", "mru", Config{Capacity: 100}, `unknown policy "mru", want one of ` + strings.Join(Names(), ", ")},
		{"no capacity", "lru", Config{}, "lru: capacity 0, want more than 0"},
		{"a small queue of one", "s3fifo", Config{Capacity: 19}, "s3fifo: needs a capacity of 20 or more"},
		{"no window", "wtinylfu", Config{Capacity: 99}, "wtinylfu: needs a capacity of 100 or more"},
		{"no chance", "random", Config{Capacity: 100}, "random: needs a source of chance"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if p, err := New(test.policy, test.config); err == nil || err.Error() != test.want {
				t.Errorf("New(%q, %v) = %v, %v, want %s", test.policy, test.config, p, err, test.want)
			}
		})
	}
}

func TestNodeIsSmall(t *testing.T) {
	if got := unsafe.Sizeof(Node{}); got != 40 {
		t.Errorf("a Node is %d bytes, want 40", got)
	}
}
