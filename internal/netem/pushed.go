package netem

import (
	"sync"
	"time"
)

// outbox holds what was written to a connection on which both ends send unasked until it is to arrive: a writer does not wait until
// its bytes have crossed, and the next ones set out meanwhile.
type outbox struct {
	ended chan struct{} // closed when nothing is delivered any more

	mu      sync.Mutex // guards the fields below
	parcels []parcel
	bytes   int
	err     error         // of the connection
	changed chan struct{} // closed when one of these changes
}

type parcel struct {
	due time.Time
	b   []byte
}

// maxOutbox is how much may be on its way, unless it is written at once.
const maxOutbox = 1 << 20

// Pushed makes the connection one on which both ends send unasked from now on: what has the reader wait, and what is written, takes
// half an RTT each, and no turns are paid for. It is called once.
func (c *conn) Pushed() {
	o := &outbox{ended: make(chan struct{}), changed: make(chan struct{})}
	go func() {
		defer close(o.ended)
		o.deliver(c)
	}()
	c.pushed.Store(o)
}

func (o *outbox) changeLocked() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// write takes bytes to be delivered.
func (o *outbox) write(c *conn, b []byte) (int, error) {
	due := c.path.carry(time.Now(), len(b), c.out).Add(c.path.turn() / 2)
	for {
		o.mu.Lock()
		if o.err != nil {
			defer o.mu.Unlock()
			return 0, o.err
		}
		if o.bytes == 0 || o.bytes+len(b) <= maxOutbox {
			defer o.mu.Unlock()
			o.parcels = append(o.parcels, parcel{due, append([]byte(nil), b...)})
			o.bytes += len(b)
			o.changeLocked()
			return len(b), nil
		}
		changed := o.changed
		o.mu.Unlock()
		if err := c.write.wait(endless, changed, c.closed); err != nil {
			return 0, err
		}
	}
}

// deliver hands on what is due until the connection ends.
func (o *outbox) deliver(c *conn) {
	var waits waiter // without a deadline: that of a write is the connection's own
	waits.changed = make(chan struct{})
	for {
		o.mu.Lock()
		changed := o.changed
		var first parcel
		if len(o.parcels) > 0 {
			first = o.parcels[0]
		}
		o.mu.Unlock()
		var err error
		if first.b == nil {
			if waits.wait(endless, changed, c.closed) != nil {
				return
			}
			continue
		}
		if err = c.cross(&waits, first.due, c.out); err == nil {
			_, err = c.Conn.Write(first.b)
		}
		o.mu.Lock()
		o.err = err
		o.parcels = o.parcels[1:]
		o.bytes -= len(first.b)
		o.changeLocked()
		o.mu.Unlock()
		if err != nil {
			return
		}
	}
}
