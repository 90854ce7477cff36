package experiment

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"cdnlab/topology"
)

// Number is a figure. NaN, in JSON null, says that there is none.
type Number float64

// MarshalJSON implements json.Marshaler.
func (n Number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// Report is an experiment and what came of it.
type Report struct {
	Name   string   `json:"name"`
	About  string   `json:"about,omitempty"`
	Passed bool     `json:"passed"`
	Runs   []Run    `json:"runs"` // by variant, then by seed
	order  []string // of the expectations
}

// NewReport sums up the runs of an experiment: all variants with the first seed, then with the next.
func NewReport(e *topology.Experiment, runs []Run) Report {
	r := Report{Name: e.Name, About: e.About, Passed: true, Runs: slices.Clone(runs)}
	var order []string
	for _, run := range runs {
		r.Passed = r.Passed && run.Passed()
		if !slices.Contains(order, run.Variant) {
			order = append(order, run.Variant)
		}
	}
	for _, x := range e.Expect {
		r.order = append(r.order, x.Text)
	}
	slices.SortStableFunc(r.Runs, func(a, b Run) int { return slices.Index(order, a.Variant) - slices.Index(order, b.Variant) })
	return r
}

// column is the runs of one variant.
type column struct {
	Label string
	Runs  []Run
}

func (r Report) columns() (all []column) {
	for _, run := range r.Runs {
		if n := len(all); n > 0 && all[n-1].Label == run.Variant {
			all[n-1].Runs = append(all[n-1].Runs, run)
			continue
		}
		all = append(all, column{run.Variant, []Run{run}})
	}
	return all
}

// Figure writes a metric: the mean of the variant's runs, and how far they are apart when there are several.
func (c column) Figure(metric string) string {
	low, high, sum := math.Inf(1), math.Inf(-1), 0.0
	for _, r := range c.Runs {
		v := float64(r.Figures[metric])
		if math.IsNaN(v) {
			return "-"
		}
		low, high, sum = min(low, v), max(high, v), sum+v
	}
	text := format(metric, sum/float64(len(c.Runs)))
	if len(c.Runs) > 1 {
		text += fmt.Sprintf(" (%s…%s)", format(metric, low), format(metric, high))
	}
	return text
}

// format writes a value of a metric with its unit.
func format(metric string, v float64) string {
	switch unit := topology.MetricUnit(metric); {
	case math.IsNaN(v):
		return "-"
	case unit == "%":
		return fmt.Sprintf("%.2f%%", v*100)
	case unit == "s" && v >= 1:
		return fmt.Sprintf("%.2f s", v)
	case unit == "s":
		return fmt.Sprintf("%.1f ms", v*1000)
	}
	return fmt.Sprintf("%.0f", v)
}

// metrics are those that a report shows: figures of purges and pushes only where there were some.
func (r Report) metrics() []string {
	return slices.DeleteFunc(topology.Metrics(), func(m string) bool {
		return (strings.HasPrefix(m, "purge.") || strings.HasPrefix(m, "push.")) &&
			!slices.ContainsFunc(r.Runs, func(run Run) bool { return !math.IsNaN(float64(run.Figures[m])) })
	})
}

// claim is an expectation over the runs that it is about.
type claim struct {
	Text    string
	Held    bool
	Results []string // "60s: 81.20%"
}

func (r Report) claims() (all []claim) {
	for _, run := range r.Runs {
		for _, o := range run.Expected {
			i := slices.IndexFunc(all, func(c claim) bool { return c.Text == o.Text })
			if i < 0 {
				all = append(all, claim{Text: o.Text, Held: true})
				i = len(all) - 1
			}
			c := &all[i]
			c.Held = c.Held && o.Held
			result := format(o.metric, float64(o.Value))
			if !o.Held {
				result += " ✗"
			}
			if run.Variant != "" {
				result = run.Variant + ": " + result
			}
			c.Results = append(c.Results, result)
		}
	}
	slices.SortStableFunc(all, func(a, b claim) int { return slices.Index(r.order, a.Text) - slices.Index(r.order, b.Text) })
	return all
}

// Text is the report for a terminal.
func (r Report) Text() string {
	var b strings.Builder
	columns := r.columns()
	rows := [][]string{{r.Name}}
	for _, c := range columns {
		rows[0] = append(rows[0], c.Label)
	}
	for _, m := range r.metrics() {
		row := []string{m}
		for _, c := range columns {
			row = append(row, c.Figure(m))
		}
		rows = append(rows, row)
	}
	writeRows(&b, rows)
	if claims := r.claims(); len(claims) > 0 {
		b.WriteByte('\n')
		for _, c := range claims {
			sign := "✓"
			if !c.Held {
				sign = "✗"
			}
			fmt.Fprintf(&b, "%s %s   %s\n", sign, c.Text, strings.Join(c.Results, ", "))
		}
	}
	for _, run := range r.Runs {
		for _, p := range sortedKeys(run.Problems) {
			fmt.Fprintf(&b, "\n%d requests%s: %s", run.Problems[p], of(run.Variant), p)
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func of(variant string) string {
	if variant == "" {
		return ""
	}
	return " of " + variant
}

func sortedKeys(m map[string]int) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// writeRows writes columns, all but the first to the right.
func writeRows(b *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				line.WriteString(cell + pad)
			} else {
				line.WriteString("  " + pad + cell)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}
