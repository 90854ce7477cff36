package ring

import (
	"sync"
	"time"
)

// The thresholds of HotKeys: which share of a node's requests makes a key hot.
const (
	// WarmShare of the requests puts a key on two members.
	WarmShare = 0.02

	// HotShare of the requests puts a key on three members.
	HotShare = 0.10

	// HotVolume is how many requests a window must hold before a key can be hot: of three requests, each is a third.
	HotVolume = 500

	// HotWindow is how far back the shares look.
	HotWindow = 10 * time.Second
)

// The sketch's error: an estimate is too high by more than e/2048 = 0.13 % of a window's requests for one key in e^4 = 55,
// and never too low (Cormode, Muthukrishnan, "An Improved Data Stream Summary: The Count-Min Sketch", 2005).
const (
	rows  = 4
	width = 2048
)

// HotKeys counts which share of a node's requests each key has, over a sliding window, in 64 kB whatever the number of
// keys. It keeps a count-min sketch for the current window and one for the window before, which counts for as much of it
// as still lies within HotWindow. The zero value is ready to use, by any number of goroutines.
type HotKeys struct {
	mu       sync.Mutex // guards everything below
	begin    time.Time  // of the current window; zero before the first request
	current  sketch
	previous sketch
}

type sketch struct {
	total  uint32
	counts [rows][width]uint32
}

// Observe counts a request for the key at now. A now before the current window counts in it.
func (k *HotKeys) Observe(hash uint64, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.advance(now)
	k.current.add(hash)
}

// Hot returns on how many members the key should be: 1, or 2 and 3 from WarmShare and HotShare of the requests on.
func (k *HotKeys) Hot(hash uint64, now time.Time) int {
	switch share := k.Share(hash, now); {
	case share >= HotShare:
		return 3
	case share >= WarmShare:
		return 2
	default:
		return 1
	}
}

// Share estimates which share of the requests of the last HotWindow the key had, 0 to 1; 0 below HotVolume requests.
func (k *HotKeys) Share(hash uint64, now time.Time) float64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.advance(now)
	old := 1 - float64(max(0, now.Sub(k.begin)))/float64(HotWindow)
	total := float64(k.current.total) + old*float64(k.previous.total)
	if total < HotVolume {
		return 0
	}
	return (float64(k.current.estimate(hash)) + old*float64(k.previous.estimate(hash))) / total
}

// advance begins the window that now lies in.
func (k *HotKeys) advance(now time.Time) {
	if k.begin.IsZero() {
		k.begin = now
	}
	windows := now.Sub(k.begin) / HotWindow
	if windows < 1 {
		return
	}
	k.previous = sketch{}
	if windows == 1 {
		k.previous = k.current
	}
	k.current = sketch{}
	k.begin = k.begin.Add(windows * HotWindow)
}

// add raises only the counts that the key's estimate needs (Estan, Varghese 2002: conservative update).
func (s *sketch) add(hash uint64) {
	s.total++
	n := s.estimate(hash) + 1
	cells := mix(hash)
	for row := range s.counts {
		count := &s.counts[row][cells>>(16*row)%width]
		*count = max(*count, n)
	}
}

func (s *sketch) estimate(hash uint64) uint32 {
	n := s.total
	cells := mix(hash)
	for row := range s.counts {
		n = min(n, s.counts[row][cells>>(16*row)%width])
	}
	return n
}
