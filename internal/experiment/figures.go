package experiment

import (
	"cmp"
	"math"
	"slices"
	"time"

	"cdnlab/topology"
)

// sample is one request.
type sample struct {
	at        time.Duration // from the start of the load
	latency   time.Duration // until the body was there
	status    int           // 0 when no response came
	place     string
	bytes     int64
	edge, hub reached
	url, etag string // of objects of which versions are told apart
}

// Counters are what the nodes of a lab have counted since it started, also those that have ended since.
type Counters struct {
	HubRequests, HubHits, OriginRequests uint64
	Pushed, Vain                         int64 // bytes pushed to edges, and those of them that no client has asked for
}

// reading is the counters at a time.
type reading struct {
	at time.Duration
	Counters
}

// window is a span of a run and of its clients.
type window struct {
	from, until time.Duration // until 0 is to the end
	place       string        // "" is all
}

func (w window) covers(s sample) bool {
	return s.at >= w.from && (w.until == 0 || s.at < w.until) && (w.place == "" || s.place == w.place)
}

// record is all that was seen of a run.
type record struct {
	samples  []sample
	readings []reading // in order of time; the first before the load, the last after it
	puts     []put     // in order of time
	purges   []purge   // as above
}

// figures computes every metric of topology.Metrics over a window. One that has no value, such as a latency without requests,
// is NaN.
func (r *record) figures(w window) map[string]Number {
	var n, errors, fromEdge, fromCDN, bytes, edgeBytes float64
	var classes [6]float64
	var latencies []time.Duration
	for _, s := range r.samples {
		if !w.covers(s) {
			continue
		}
		n++
		bytes += float64(s.bytes)
		if s.edge == hit {
			fromEdge++
			edgeBytes += float64(s.bytes)
		}
		if s.edge == hit || s.hub == hit {
			fromCDN++
		}
		if class := s.status / 100; class >= 1 && class <= 5 {
			classes[class]++
		}
		if s.status == 0 || s.status >= 500 {
			errors++
		}
		if s.status != 0 {
			latencies = append(latencies, s.latency)
		}
	}
	slices.Sort(latencies)
	c := r.between(w.from, w.until)
	return map[string]Number{
		"requests": Number(n), "errors": ratio(errors, n),
		"responses.2xx": ratio(classes[2], n), "responses.3xx": ratio(classes[3], n), "responses.4xx": ratio(classes[4], n), "responses.5xx": ratio(classes[5], n),
		"edge.hit_ratio": ratio(fromEdge, n), "edge.byte_hit_ratio": ratio(edgeBytes, bytes), "cdn.hit_ratio": ratio(fromCDN, n),
		"hub.hit_ratio":   ratio(float64(c.HubHits), float64(c.HubRequests)),
		"origin.requests": Number(c.OriginRequests), "origin.share": ratio(float64(c.OriginRequests), n),
		"latency.mean": mean(latencies), "latency.p50": quantile(latencies, 0.5), "latency.p90": quantile(latencies, 0.9),
		"latency.p99": quantile(latencies, 0.99), "latency.max": quantile(latencies, 1),
		"purge.time": r.purgeTime(w), "purge.stale_served": r.staleServed(w), "push.vain": ratio(float64(c.Vain), float64(c.Pushed)),
	}
}

// ratio is NaN of nothing.
func ratio(part, whole float64) Number {
	if whole == 0 {
		return Number(math.NaN())
	}
	return Number(part / whole)
}

// between is what was counted between two times, by the readings nearest to them: one is made a little after it is due. What was pushed is
// that of all time up to the later one.
func (r *record) between(from, until time.Duration) Counters {
	if len(r.readings) == 0 {
		return Counters{}
	}
	first, last := r.nearest(from), r.readings[len(r.readings)-1]
	if until > 0 {
		last = r.nearest(until)
	}
	return Counters{last.HubRequests - first.HubRequests, last.HubHits - first.HubHits, last.OriginRequests - first.OriginRequests, last.Pushed, last.Vain}
}

// nearest is the reading next to a time.
func (r *record) nearest(at time.Duration) reading {
	return slices.MinFunc(r.readings, func(a, b reading) int { return cmp.Compare((a.at - at).Abs(), (b.at - at).Abs()) })
}

func mean(sorted []time.Duration) Number {
	sum := 0.0
	for _, d := range sorted {
		sum += d.Seconds()
	}
	return ratio(sum, float64(len(sorted)))
}

// quantile is the nearest-rank quantile in seconds: the smallest value that at least the share q is not above.
func quantile(sorted []time.Duration, q float64) Number {
	if len(sorted) == 0 {
		return Number(math.NaN())
	}
	rank := int(math.Ceil(q * float64(len(sorted))))
	return Number(sorted[min(max(rank, 1), len(sorted))-1].Seconds())
}

// Outcome is an expectation and what came of it.
type Outcome struct {
	Text   string `json:"text"`
	Value  Number `json:"value"` // of its metric
	Held   bool   `json:"held"`
	metric string
}

// judge holds the expectations that are about a variant against a run.
func (r *record) judge(all []topology.Expectation, v topology.Variant) (out []Outcome) {
	for _, e := range all {
		if !e.In(v) {
			continue
		}
		value := r.figures(window{e.After, e.Until, e.From})[e.Metric]
		out = append(out, Outcome{e.Text, value, !math.IsNaN(float64(value)) && e.Holds(float64(value)), e.Metric})
	}
	return out
}

// Series is a run by the second: each list has one value for each second of it.
type Series struct {
	Requests     []Number `json:"requests"`
	Errors       []Number `json:"errors"`
	EdgeHitRatio []Number `json:"edge_hit_ratio"`
	P50          []Number `json:"latency_p50_ms"`
	P99          []Number `json:"latency_p99_ms"`
	Origin       []Number `json:"origin_requests"`
}

// series cuts a run into seconds.
func (r *record) series(length time.Duration) (s Series) {
	seconds := int((length + time.Second - 1) / time.Second)
	buckets := make([][]sample, seconds)
	for _, x := range r.samples {
		if i := int(x.at / time.Second); i < seconds {
			buckets[i] = append(buckets[i], x)
		}
	}
	for i, b := range buckets {
		from := time.Duration(i) * time.Second
		f := (&record{samples: b, readings: r.readings}).figures(window{from: from, until: from + time.Second})
		s.Requests = append(s.Requests, f["requests"])
		failed := Number(0)
		if f["requests"] > 0 {
			failed = f["errors"] * f["requests"]
		}
		s.Errors = append(s.Errors, failed)
		s.EdgeHitRatio = append(s.EdgeHitRatio, f["edge.hit_ratio"])
		s.P50 = append(s.P50, f["latency.p50"]*1000)
		s.P99 = append(s.P99, f["latency.p99"]*1000)
		s.Origin = append(s.Origin, f["origin.requests"])
	}
	return s
}
