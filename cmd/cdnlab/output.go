package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// format is the value of -o.
type format string

const (
	formatText format = "text"
	formatJSON format = "json"
)

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "text|json" }

func (f *format) Set(s string) error {
	if s != string(formatText) && s != string(formatJSON) {
		return fmt.Errorf("want text or json")
	}
	*f = format(s)
	return nil
}

// outputFlag adds -o to a command.
func outputFlag(flags *pflag.FlagSet) *format {
	f := formatText
	flags.VarP(&f, "output", "o", "how to print")
	return &f
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// green colours s for a person who sees colours and wants them (https://no-color.org).
func green(w io.Writer, s string) string {
	if !isTerminal(w) || os.Getenv("NO_COLOR") != "" {
		return s
	}
	return "\x1b[32m" + s + "\x1b[0m"
}

// bytesText writes a size in binary units: 1536 is "1.5 KiB".
func bytesText[T int64 | uint64](n T) string {
	v, unit := float64(n), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v < 1024 {
			break
		}
		v, unit = v/1024, next
	}
	if unit == "B" || v >= 100 {
		return fmt.Sprintf("%.0f %s", v, unit)
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}

func percentText(ratio *float64) string {
	if ratio == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", *ratio*100)
}

func millis(ms float64) string {
	if ms >= 100 {
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	}
	return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
}

// count writes a number with its noun: "1 server", "2 servers".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// table writes rows in columns two spaces apart, those that are listed aligned to the right. The last cell of a row may be longer
// than its column; a row with fewer cells than the first ends with a remark, which is always aligned to the left.
func table(b *strings.Builder, rows [][]string, right ...int) {
	numeric := func(row []string, i int) bool { return len(row) == len(rows[0]) && slices.Contains(right, i) }
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if i < len(row)-1 || numeric(row, i) {
				widths[i] = max(widths[i], utf8.RuneCountInString(cell))
			}
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(cell)))
			if numeric(row, i) {
				cell = pad + cell
			} else {
				cell += pad
			}
			line.WriteString(cell + "  ")
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
}

// columns lists the columns from one on to the last of a table.
func columns(from int, row []string) (list []int) {
	for i := from; i < len(row); i++ {
		list = append(list, i)
	}
	return list
}

// fit clips text to the terminal that it is written to.
func fit(terminal any, text string) string {
	f, ok := terminal.(*os.File)
	if !ok {
		return text
	}
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 1 || height < 3 {
		return text
	}
	return clip(text, width, height)
}

// clip fits text into width columns and height lines, at least 3, the cursor's among them: what is too wide is cut, and of too many lines the last says how many are missing.
func clip(text string, width, height int) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if missing := len(lines) - (height - 1); missing > 0 {
		lines = append(lines[:height-2], fmt.Sprintf("… and %s more", count(missing+1, "line")))
	}
	for i, line := range lines {
		if runes := []rune(line); len(runes) > width {
			lines[i] = string(runes[:width])
		}
	}
	return strings.Join(lines, "\n") + "\n"
}
