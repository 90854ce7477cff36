package retry

import "time"

// steps is how finely a window slides: it holds the current step and the nine before.
const steps = 10

// window sums two counts over the last steps.
type window struct {
	step   time.Duration
	start  time.Time // of step 0; zero before the first count
	latest int64
	counts [steps]struct{ a, b int }
}

func (w *window) add(now time.Time, a, b int) {
	w.advance(now)
	c := &w.counts[w.latest%steps]
	c.a += a
	c.b += b
}

func (w *window) sum(now time.Time) (a, b int) {
	w.advance(now)
	for _, c := range w.counts {
		a += c.a
		b += c.b
	}
	return a, b
}

// advance empties the steps that now has passed. A now before the latest step counts in that.
func (w *window) advance(now time.Time) {
	if w.start.IsZero() {
		w.start = now
	}
	at := int64(now.Sub(w.start) / w.step)
	for i := max(w.latest+1, at-steps+1); i <= at; i++ {
		w.counts[i%steps] = struct{ a, b int }{}
	}
	w.latest = max(w.latest, at)
}
