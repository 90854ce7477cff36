package distribution

import (
	"strings"
	"sync"
	"time"

	"cdnlab/internal/popular"
)

// Popularity travels up: edges count what clients ask for, hubs add up what their edges count, and the origin plans from what hubs say.
const (
	demandKeys  = 500              // objects that are counted at a node
	halfLife    = 15 * time.Second // after which a request counts half
	demandEvery = time.Second      // between two reports to the parent
	kindDemand  = 'D'              // up: length of the region's name 1 | name | an encoded sketch
)

// demand is what is asked for at a node and below it.
type demand struct {
	mu    sync.Mutex // guards the fields below
	own   *popular.Sketch
	below map[uint64]regionDemand // by the stream that it came on
	key   []byte                  // scratch
}

// regionDemand is what the clients of a hub or a PoP ask for.
type regionDemand struct {
	region string
	sketch *popular.Sketch
}

func newSketch() *popular.Sketch {
	s, err := popular.New(demandKeys, halfLife)
	if err != nil {
		panic(err) // its sizes are constants
	}
	return s
}

func newDemand() *demand { return &demand{own: newSketch(), below: map[uint64]regionDemand{}} }

// observe counts a request.
func (d *demand) observe(site string, path []byte, bytes int64, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.key = append(append(append(d.key[:0], site...), 0), path...)
	d.own.Observe(d.key, bytes, now)
}

// splitKey is the reverse of what observe makes of a site and a path.
func splitKey(key string) (site, path string, ok bool) { return strings.Cut(key, "\x00") }

// set takes the report of a child.
func (d *demand) set(stream uint64, payload []byte, now time.Time) error {
	if len(payload) < 1 || len(payload) < 1+int(payload[0]) {
		return errFrame
	}
	n := 1 + int(payload[0])
	sketch, err := popular.Decode(payload[n:], now)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.below[stream] = regionDemand{string(payload[1:n]), sketch}
	return nil
}

func (d *demand) end(stream uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.below, stream)
}

// append appends the report of a node: of itself and what is below it.
func (d *demand) append(b []byte, region string, now time.Time) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := newSketch()
	_ = all.Merge(d.own, now) // fails for another half-life
	for _, r := range d.below {
		_ = all.Merge(r.sketch, now) // what others say with another one is left out
	}
	payload := append([]byte{byte(min(len(region), maxName))}, region[:min(len(region), maxName)]...)
	return appendFrame(b, kindDemand, all.Append(payload, now))
}

// regions adds up what the regions below ask for.
func (d *demand) regions(now time.Time) map[string]*popular.Sketch {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[string]*popular.Sketch{}
	for _, r := range d.below {
		if all[r.region] == nil {
			all[r.region] = newSketch()
		}
		_ = all[r.region].Merge(r.sketch, now) // as above
	}
	return all
}

// maxDemand is how long a report may be.
const maxDemand = 1 + maxName + popular.MaxEncoded
