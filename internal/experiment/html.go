package experiment

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"

	"cdnlab/internal/uplot"
)

//go:embed report.html
var page string

// HTML is the report as one page that needs nothing else.
func (r Report) HTML() ([]byte, error) {
	type row struct {
		Metric string
		Cells  []string
	}
	type series struct {
		Label string `json:"label"`
		Series
	}
	columns := r.columns()
	var rows []row
	for _, m := range r.metrics() {
		x := row{Metric: m}
		for _, c := range columns {
			x.Cells = append(x.Cells, c.Figure(m))
		}
		rows = append(rows, x)
	}
	var drawn []series // of each variant the first seed
	for _, c := range columns {
		drawn = append(drawn, series{c.Label, c.Runs[0].Series})
	}
	data, err := json.Marshal(drawn) // escapes what could end the script
	if err != nil {
		return nil, fmt.Errorf("encode series: %w", err)
	}
	t, err := template.New("report").Parse(page)
	if err != nil {
		return nil, fmt.Errorf("parse report's page: %w", err)
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{
		"Report": r, "Columns": columns, "Rows": rows, "Claims": r.claims(), "Data": template.JS(data),
		"Script": template.JS(uplot.Script()), "Style": template.CSS(uplot.Style()),
	})
	return b.Bytes(), err
}
