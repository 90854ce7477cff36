package netem

import (
	"math"
	"time"
)

// Path is the links that a connection crosses; an empty one leaves it bare.
type Path []*Link

// turn is how long a turn takes.
func (p Path) turn() (d time.Duration) {
	for _, l := range p {
		d += l.turn()
	}
	return d
}

// carry says when n bytes that set out now have crossed in a direction.
func (p Path) carry(now time.Time, n int, d direction) time.Time {
	at := now
	for _, l := range p {
		if t := l.carry(now, n, d); t.After(at) {
			at = t
		}
	}
	return at
}

// late notes that bytes crossed later than they were to.
func (p Path) late(by time.Duration, d direction) {
	for _, l := range p {
		l.late(by, d)
	}
}

// chunk is how many bytes are let across at once.
func (p Path) chunk() int {
	n := math.MaxInt
	for _, l := range p {
		n = min(n, l.Params().chunk())
	}
	return n
}

// down returns nil when every link carries, else a channel that is closed when that may have changed.
func (p Path) down() <-chan struct{} {
	for _, l := range p {
		if c := l.down(); c != nil {
			return c
		}
	}
	return nil
}

// drops says whether a datagram is lost.
func (p Path) drops() bool {
	for _, l := range p {
		if l.drops() {
			return true
		}
	}
	return false
}

// add takes a connection to the links; false says that one of them breaks off every connection.
func (p Path) add(c *conn) bool {
	for i, l := range p {
		if !l.add(c) {
			p[:i].remove(c)
			return false
		}
	}
	return true
}

func (p Path) remove(c *conn) {
	for _, l := range p {
		l.remove(c)
	}
}
