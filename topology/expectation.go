package topology

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Metrics are the figures of a run that an expectation may name. Ratios and shares are 0…1; latencies are in seconds and as
// clients see them.
var metrics = []string{
	"requests",                                                         // of clients, answered or not
	"responses.2xx", "responses.3xx", "responses.4xx", "responses.5xx", // share of the requests
	"errors",                                // share of the requests that got no response or a 5xx
	"edge.hit_ratio", "edge.byte_hit_ratio", // share of requests, of body bytes, that an edge answered out of its cache
	"hub.hit_ratio",                   // share of the requests that hubs got which they answered out of their caches
	"cdn.hit_ratio",                   // share of requests that edges or hubs answered out of their caches
	"origin.requests", "origin.share", // requests that origins got, and these as a share of the clients'
	"latency.mean", "latency.p50", "latency.p90", "latency.p99", "latency.max",
	"purge.time",         // the longest that a purge took from its entry in the journal until it was applied at every node that is alive
	"purge.stale_served", // requests that were answered with an older version than the one that was put and purged before they were made
	"push.vain",          // share of the bytes pushed to edges that no client has asked for
}

// Metrics lists the figures that an expectation may name.
func Metrics() []string { return slices.Clone(metrics) }

// MetricUnit says how a metric's values are written: "s" for latencies, "%" for shares, "" for counts.
func MetricUnit(metric string) string {
	switch {
	case strings.HasPrefix(metric, "latency.") || metric == "purge.time":
		return "s"
	case metric == "requests" || metric == "origin.requests" || metric == "purge.stale_served":
		return ""
	}
	return "%"
}

// Expectation is a claim about a run: METRIC OP VALUE [from PLACE] [after T] [until T] [when PATH=VALUE].
type Expectation struct {
	Text   string
	Metric string
	Op     string // < <= > >= = !=
	Value  float64
	From   string        // the clients' place; "" is all
	After  time.Duration // from when on requests count
	Until  time.Duration // from when on they no longer do; 0 is never
	Condition
}

// Holds reports whether a figure is as expected.
func (e Expectation) Holds(v float64) bool {
	switch e.Op {
	case "<":
		return v < e.Value
	case "<=":
		return v <= e.Value
	case ">":
		return v > e.Value
	case ">=":
		return v >= e.Value
	case "=":
		return v == e.Value
	default:
		return v != e.Value
	}
}

const expectationForm = "METRIC OP VALUE, such as edge.hit_ratio > 0.8, then if need be: from PLACE, after 20s, until 40s, when PATH=VALUE"

// ParseExpectation reads an expectation. Its error says what would be right.
func ParseExpectation(text string) (Expectation, error) {
	e := Expectation{Text: text}
	words := strings.Fields(spaced(text))
	if len(words) < 3 {
		return e, fmt.Errorf("%q is not of the form %s", text, expectationForm)
	}
	e.Metric, e.Op = words[0], words[1]
	if !slices.Contains(metrics, e.Metric) {
		hint := didYouMean(e.Metric, metrics)
		if hint == "" {
			hint = "; there is " + strings.Join(metrics, ", ")
		}
		return e, fmt.Errorf("unknown metric %q%s", e.Metric, hint)
	}
	if !slices.Contains([]string{"<", "<=", ">", ">=", "=", "!="}, e.Op) {
		return e, fmt.Errorf("unknown comparison %q; it is <, <=, >, >=, = or !=", e.Op)
	}
	var err error
	if e.Value, err = parseMetricValue(e.Metric, words[2]); err != nil {
		return e, err
	}
	return e, e.clauses(words[3:])
}

// spaced puts spaces around comparisons, up to the first clause.
func spaced(text string) string {
	i := strings.IndexAny(text, "<>=!")
	if i < 0 {
		return text
	}
	end := i + 1
	if end < len(text) && text[end] == '=' {
		end++
	}
	return text[:i] + " " + text[i:end] + " " + text[end:]
}

func parseMetricValue(metric, text string) (float64, error) {
	switch MetricUnit(metric) {
	case "s":
		v, err := durations.parse(text)
		return v / float64(time.Second), err
	case "%":
		if strings.HasSuffix(text, "%") {
			return shares.parse(text)
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v < 0 || strings.ContainsAny(text, "xXpPiInN") {
		return 0, fmt.Errorf("%q is no value of %s; it is a number from 0", text, metric)
	}
	return v, nil
}

// clauses reads what follows the value.
func (e *Expectation) clauses(words []string) (err error) {
	seen := map[string]bool{}
	for ; len(words) > 0; words = words[2:] {
		clause := words[0]
		switch {
		case !slices.Contains([]string{"from", "after", "until", "when"}, clause):
			return fmt.Errorf("unknown word %q; after the value come from, after, until or when", clause)
		case len(words) < 2:
			return fmt.Errorf("%q says nothing; write for example %s", clause, map[string]string{"from": "from tokyo", "after": "after 20s", "until": "until 40s", "when": "when dns.ttl=60s"}[clause])
		case seen[clause]:
			return fmt.Errorf("%q stands twice", clause)
		}
		seen[clause] = true
		var d float64
		switch arg := words[1]; clause {
		case "from":
			e.From = arg
		case "after":
			d, err = durations.parse(arg)
			e.After = time.Duration(d)
		case "until":
			d, err = durations.parse(arg)
			e.Until = time.Duration(d)
		case "when":
			err = e.Condition.parse(arg)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", clause, err)
		}
	}
	if e.Until > 0 && e.Until <= e.After {
		return errors.New("until is not later than after")
	}
	if e.From != "" && (strings.HasPrefix(e.Metric, "hub.") || slices.Contains([]string{"origin.requests", "purge.time", "push.vain"}, e.Metric)) {
		return fmt.Errorf("%s is not counted by place; leave out from", e.Metric)
	}
	return nil
}

// expectation is an Expectation in a file.
type expectation struct {
	mark
	v Expectation
}

func (e *expectation) parse(text string) (err error) {
	e.v, err = ParseExpectation(text)
	return err
}

func (*expectation) what() string   { return "a claim such as edge.hit_ratio > 0.8 after 20s" }
func (*expectation) schema() object { return object{"type": "string"} }
