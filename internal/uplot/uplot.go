// Package uplot holds the chart library uPlot (MIT, see LICENSE), which the dashboard serves and reports carry within them.
package uplot

import _ "embed"

//go:embed uPlot.iife.min.js
var script string

//go:embed uPlot.min.css
var style string

// Script is the library as a script that defines the global uPlot.
func Script() string { return script }

// Style is its style sheet.
func Style() string { return style }
