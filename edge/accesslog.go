package edge

import (
	"io"
	"log/slog"
	"sync"
	"time"

	"cdnlab/internal/proxy"
)

// How the access log is written.
const (
	flushEvery = time.Second
	flushAt    = 256 << 10 // bytes that are written before the second is over
	maxPending = 8 << 20   // bytes; lines beyond it are lost rather than that requests wait for a slow disk
	maxKept    = 1 << 20   // bytes of memory that is kept for the next lines
)

// accessLog collects lines in memory and writes them out beside the requests.
type accessLog struct {
	out  io.Writer
	node string
	log  *slog.Logger
	full chan struct{} // wakes the writer before its time

	spare []byte // the writer's: memory for the next lines

	mu      sync.Mutex // guards the fields below
	pending []byte     // whole lines
	lost    int
}

func newAccessLog(out io.Writer, node string, log *slog.Logger) *accessLog {
	return &accessLog{out: out, node: node, log: log, full: make(chan struct{}, 1)}
}

// record takes a finished request.
func (a *accessLog) record(r *proxy.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.pending) > maxPending {
		a.lost++
		return
	}
	a.pending = appendLine(a.pending, a.node, r)
	if len(a.pending) > flushAt {
		select {
		case a.full <- struct{}{}:
		default: // it has been woken
		}
	}
}

// start writes what is collected, at the latest after the given time, until stop is called, which writes the rest.
func (a *accessLog) start(every time.Duration) (stop func()) {
	ending, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ending:
				a.flush()
				return
			case <-tick.C:
			case <-a.full:
			}
			a.flush()
		}
	}()
	return func() {
		close(ending)
		<-ended
	}
}

func (a *accessLog) flush() {
	a.mu.Lock()
	text, lost := a.pending, a.lost
	a.pending, a.lost = a.spare[:0], 0
	a.mu.Unlock()
	if lost > 0 {
		a.log.Warn("the access log is slower than the requests: lines are lost", "lines", lost)
	}
	if len(text) > 0 {
		if _, err := a.out.Write(text); err != nil {
			a.log.Error("cannot write the access log", "error", err)
		}
	}
	if cap(text) > maxKept {
		text = nil
	}
	a.spare = text
}
