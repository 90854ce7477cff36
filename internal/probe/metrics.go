package probe

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cdnlab/internal/stats"
)

var ttfbBounds = []time.Duration{
	100 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 10 * time.Second,
}

// collector turns a snapshot into metrics at each scrape. Labels are bounded: results, classes, tiers, PoPs, RCODEs, sites,
// client places.
type collector struct{ cfg Config }

// Describe sends nothing: which metrics exist depends on the node's role, so the collector is an unchecked one.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the metrics of the node's counters as they are now.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s := c.cfg.Stats.Snapshot()
	send := func(kind prometheus.ValueType, name, help string, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(c.desc(name, help, labelNames(labels)), kind, v, labelValues(labels)...)
	}
	counter := func(name, help string, v uint64, labels ...string) {
		send(prometheus.CounterValue, name, help, float64(v), labels...)
	}
	send(prometheus.GaugeValue, "start_time_seconds", "When the node started, in seconds since 1970.", float64(s.Started.UnixMilli())/1000)
	for result, n := range s.Requests {
		counter("requests_total", "Requests answered, by what the cache had to do with it.", n, "result", result)
		counter("sent_bytes_total", "Bytes of response bodies sent, by result.", s.Out[result], "result", result)
	}
	counter("received_bytes_total", "Bytes of request bodies received.", s.In)
	for class, n := range s.Status {
		counter("responses_total", "Responses by status class.", n, "class", class)
	}
	for tier, p := range s.Fetches {
		counter("fetches_total", "Exchanges with parents.", p.Count, "to", tier)
		counter("fetch_errors_total", "Exchanges with parents that gave no usable response.", p.Errors, "to", tier)
		counter("fetched_bytes_total", "Bytes of bodies read from parents.", p.Bytes, "to", tier)
	}
	for host, site := range s.Sites {
		c.group(out, "site", host, "by site", &site)
	}
	for name, place := range s.Places {
		c.group(out, "place", name, "by client place", &place)
	}
	for pop, n := range s.PoPs {
		counter("dns_answers_total", "DNS answers by the PoP that they name.", n, "pop", pop)
	}
	for code, n := range s.RCodes {
		counter("dns_responses_total", "DNS responses by RCODE.", n, "rcode", strconv.Itoa(code))
	}
	if s.Cache != nil {
		send(prometheus.GaugeValue, "cache_objects", "Objects in the cache.", float64(s.Cache.Objects))
		send(prometheus.GaugeValue, "cache_bytes", "Bytes in the cache, keys and heads included.", float64(s.Cache.Bytes))
		send(prometheus.GaugeValue, "cache_budget_bytes", "Bytes that the cache may hold.", float64(s.Cache.Budget))
		counter("cache_evictions_total", "Objects evicted to make room.", s.Cache.Evictions)
		if p := s.Cache.Pushed; p.Bytes > 0 {
			send(prometheus.GaugeValue, "cache_pushed_objects", "Objects that came before a client had asked for them.", float64(p.Objects))
			counter("cache_pushed_bytes_total", "Bytes of objects that came before a client had asked for them.", uint64(p.Bytes))
			send(prometheus.GaugeValue, "cache_pushed_unrequested_bytes", "Bytes of those objects that no client has asked for yet.", float64(p.Unrequested))
		}
		if d := s.Cache.Disk; d.Budget > 0 {
			send(prometheus.GaugeValue, "cache_disk_objects", "Objects on disk.", float64(d.Objects))
			send(prometheus.GaugeValue, "cache_disk_bytes", "Bytes of the cache on disk.", float64(d.Bytes))
			send(prometheus.GaugeValue, "cache_disk_budget_bytes", "Bytes that the cache may have on disk.", float64(d.Budget))
			counter("cache_disk_evictions_total", "Objects removed from disk to make room.", d.Evictions)
			counter("cache_disk_damaged_total", "Files on disk that were found damaged, and removed.", d.Damaged)
		}
	}
	out <- prometheus.MustNewConstHistogram(c.desc("time_to_first_byte_seconds", "From a request's head to its response's head.", nil),
		s.TTFB.Count, float64(s.TTFB.Sum)/1e6, bounds(&s.TTFB))
}

// group sends what is counted of one site, or of one client place.
func (c collector) group(out chan<- prometheus.Metric, label, name, by string, g *stats.GroupCount) {
	counter := func(what, help string, v uint64, more ...string) {
		pairs := append([]string{label, name}, more...)
		out <- prometheus.MustNewConstMetric(c.desc(label+"_"+what, help+by+".", labelNames(pairs)), prometheus.CounterValue, float64(v), labelValues(pairs)...)
	}
	for class, n := range g.Status {
		counter("responses_total", "Responses by status class, ", n, "class", class)
	}
	counter("hits_total", "Requests that the cache answered by itself, ", g.Hits)
	counter("sent_bytes_total", "Bytes of response bodies sent, ", g.Bytes)
	out <- prometheus.MustNewConstHistogram(c.desc(label+"_time_to_first_byte_seconds", "From a request's head to its response's head, "+by+".", []string{label}),
		g.TTFB.Count, float64(g.TTFB.Sum)/1e6, bounds(&g.TTFB), name)
}

// bounds counts what took at most so many seconds.
func bounds(h *stats.Histogram) map[float64]uint64 {
	buckets := make(map[float64]uint64, len(ttfbBounds))
	for _, b := range ttfbBounds {
		buckets[b.Seconds()] = h.AtMost(b)
	}
	return buckets
}

func (c collector) desc(name, help string, labels []string) *prometheus.Desc {
	node := prometheus.Labels{"node": string(c.cfg.Node.Name), "tier": c.cfg.Node.Kind.String()}
	return prometheus.NewDesc("cdnlab_"+name, help, labels, node)
}

// labelNames and labelValues take apart alternating names and values.
func labelNames(pairs []string) (names []string) {
	for i := 0; i < len(pairs); i += 2 {
		names = append(names, pairs[i])
	}
	return names
}

func labelValues(pairs []string) (values []string) {
	for i := 1; i < len(pairs); i += 2 {
		values = append(values, pairs[i])
	}
	return values
}
