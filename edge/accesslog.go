package edge

import (
	"bytes"
	"encoding/json"
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
)

// line is a line of the access log; see the package's documentation.
type line struct {
	Time      string  `json:"time"`
	Node      string  `json:"node"`
	Client    string  `json:"client"`
	Place     string  `json:"place,omitempty"`
	Method    string  `json:"method"`
	Host      string  `json:"host"`
	Path      string  `json:"path"`
	Status    int     `json:"status"`
	Bytes     int64   `json:"bytes"`
	TTFB      float64 `json:"ttfb_ms"`
	Total     float64 `json:"total_ms"`
	Cache     string  `json:"cache"`
	RequestID string  `json:"request_id"`
}

// accessLog collects lines in memory and writes them out beside the requests.
type accessLog struct {
	out  io.Writer
	node string
	log  *slog.Logger
	full chan struct{} // wakes the writer before its time

	mu      sync.Mutex // guards the fields below
	pending bytes.Buffer
	lost    int
}

func newAccessLog(out io.Writer, node string, log *slog.Logger) *accessLog {
	return &accessLog{out: out, node: node, log: log, full: make(chan struct{}, 1)}
}

// record takes a finished request.
func (a *accessLog) record(r *proxy.Record) {
	text, err := json.Marshal(line{
		Time: r.Time.UTC().Format("2006-01-02T15:04:05.000000Z"), Node: a.node, Client: r.Client.Addr.String(), Place: r.Client.Place,
		Method: string(r.Method), Host: string(r.Host), Path: string(r.Target), Status: r.Status, Bytes: r.Bytes,
		TTFB: milliseconds(r.TTFB), Total: milliseconds(r.Total), Cache: r.Cache, RequestID: string(r.RequestID),
	})
	if err != nil {
		a.log.Error("cannot encode a line of the access log", "error", err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pending.Len() > maxPending {
		a.lost++
		return
	}
	a.pending.Write(text)
	a.pending.WriteByte('\n')
	if a.pending.Len() > flushAt {
		select {
		case a.full <- struct{}{}:
		default: // it has been woken
		}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// start writes what is collected until stop is called, which writes the rest.
func (a *accessLog) start() (stop func()) {
	ending, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(flushEvery)
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
	text, lost := bytes.Clone(a.pending.Bytes()), a.lost
	a.pending.Reset()
	a.lost = 0
	a.mu.Unlock()
	if lost > 0 {
		a.log.Warn("the access log is slower than the requests: lines are lost", "lines", lost)
	}
	if len(text) == 0 {
		return
	}
	if _, err := a.out.Write(text); err != nil {
		a.log.Error("cannot write the access log", "error", err)
	}
}
