package netem

import (
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// Params is what a link does to what crosses it. The zero value does nothing.
type Params struct {
	RTT       time.Duration // there and back
	Bandwidth int64         // bits per second, each way; 0 unlimited
	Loss      float64       // share of packets lost, 0…1
}

// Link lies between two places, or is what one node's connections all share; the connections across it share its bandwidth.
type Link struct {
	mu      sync.Mutex // guards all below
	params  Params
	fault   Fault
	changed chan struct{} // closed when the fault changes
	open    map[*conn]struct{}
	rng     *rand.Rand
	lanes   [2]lane
}

// direction is one way across a link, as its accepting end sees it.
type direction int

const (
	inward  direction = iota // towards the end that accepted the connection
	outward                  // towards the end that dialled
)

// NewLink returns a link whose losses and jitter follow from the seed.
func NewLink(p Params, seed uint64) *Link {
	return &Link{params: p, changed: make(chan struct{}), open: map[*conn]struct{}{}, rng: rand.New(rand.NewPCG(seed, 0x6e6574656d))}
}

// Params returns what the link does now.
func (l *Link) Params() Params {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nowLocked()
}

func (l *Link) nowLocked() Params { return l.fault.on(l.params) }

// Set changes what the link does when nothing is wrong, for open connections too.
func (l *Link) Set(p Params) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.params = p
}

// Break makes a fault hold, for open connections too, in place of the one before. The zero Fault mends the link.
func (l *Link) Break(f Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = f
	close(l.changed)
	l.changed = make(chan struct{})
	if f.Reset {
		for c := range l.open {
			c.abort()
		}
	}
}

// down returns nil when the link carries, else a channel that is closed when that may have changed.
func (l *Link) down() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault.Down {
		return l.changed
	}
	return nil
}

// add takes a connection to the link; false says that the link breaks off every connection.
func (l *Link) add(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault.Reset {
		return false
	}
	l.open[c] = struct{}{}
	return true
}

func (l *Link) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}

// turn is how long a turn takes: the RTT, and up to the jitter more.
func (l *Link) turn() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.nowLocked().RTT
	if l.fault.Jitter > 0 {
		d += time.Duration(l.rng.Float64() * float64(l.fault.Jitter))
	}
	return d
}

// carry says when n bytes that set out now have crossed the link in a direction.
func (l *Link) carry(now time.Time, n int, d direction) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.nowLocked()
	at := l.lanes[d].carry(now, n, p.Bandwidth)
	return at.Add(penalty(l.rng, n, p))
}

// late notes that bytes crossed later than they were to, because the machine was busy: the lane makes it good.
func (l *Link) late(by time.Duration, d direction) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lanes[d].owed = min(l.lanes[d].owed+by, maxOwed)
}

// drops says whether a datagram is lost.
func (l *Link) drops() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	loss := l.nowLocked().Loss
	return l.fault.Down || loss > 0 && l.rng.Float64() < loss
}

// lane is one direction of a link: a queue that empties at the link's bandwidth.
type lane struct {
	next time.Time     // when its last byte has left
	owed time.Duration // by a machine that woke later than it was asked to, while bytes waited
}

// slack is for how long an idle lane saves up bandwidth.
const slack = 25 * time.Millisecond

// maxOwed bounds what a stalled machine may make good at once.
const maxOwed = time.Second

// carry queues n bytes and says when the last of them has left.
func (l *lane) carry(now time.Time, n int, bandwidth int64) time.Time {
	if bandwidth <= 0 {
		return now
	}
	if now.Sub(l.next) > slack+l.owed { // nothing has waited
		l.next = now.Add(-slack)
	}
	l.next = l.next.Add(time.Duration(float64(n) * 8 / float64(bandwidth) * float64(time.Second)))
	l.owed = max(now.Sub(l.next), 0)
	return l.next
}

const (
	segment   = 1460                   // bytes of payload in an Ethernet frame's TCP segment
	minRTO    = 200 * time.Millisecond // Linux' least retransmission timeout; RFC 6298 §2.4 asks for 1 s
	maxRTO    = 60 * time.Second       // RFC 6298 §2.5
	maxLosses = 6
)

// penalty is how much later n bytes arrive because segments of theirs were lost. A loss that later segments reveal is repaired
// one RTT later (fast retransmit, RFC 5681 §3.2), however many of a flight are lost; the loss of the last one waits for the
// retransmission timer, which doubles at each further loss (RFC 6298 §5).
func penalty(rng *rand.Rand, n int, p Params) time.Duration {
	if p.Loss <= 0 || n <= 0 {
		return 0
	}
	var late time.Duration
	if before := (n - 1) / segment; before > 0 && rng.Float64() < 1-math.Pow(1-p.Loss, float64(before)) {
		late = p.RTT
	}
	rto := max(p.RTT*2, minRTO)
	for range maxLosses {
		if rng.Float64() >= p.Loss {
			break
		}
		late += rto
		rto = min(2*rto, maxRTO)
	}
	return late
}

// chunk is how many bytes are let across at once: what the link carries in 2 ms, so that a slow link is smooth and a fast one
// is not slowed by sleeping.
func (p Params) chunk() int {
	if p.Bandwidth <= 0 {
		return math.MaxInt
	}
	return int(min(max(p.Bandwidth/8/500, segment), 256<<10))
}
