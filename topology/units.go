package topology

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// unit is a suffix and what one of it is worth.
type unit struct {
	suffix string
	worth  float64
}

var (
	byteUnits = []unit{
		{"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
		{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	}
	rateUnits = []unit{{"bps", 1}, {"kbps", 1e3}, {"Mbps", 1e6}, {"Gbps", 1e9}, {"Tbps", 1e12}}
	timeUnits = []unit{
		{"us", float64(time.Microsecond)}, {"ms", float64(time.Millisecond)}, {"s", float64(time.Second)},
		{"m", float64(time.Minute)}, {"h", float64(time.Hour)}, {"d", float64(24 * time.Hour)},
	}
	shareUnits = []unit{{"%", 0.01}}
)

// quantity is a kind of number with a unit: what it is called, an example of it, and its units.
type quantity struct {
	name, example string
	units         []unit
}

var (
	sizes     = quantity{"a size", "64MiB", byteUnits}
	rates     = quantity{"a bandwidth", "100Mbps", rateUnits}
	durations = quantity{"a duration", "40ms", timeUnits}
	shares    = quantity{"a share", "0.1%", shareUnits}
)

func (q quantity) what() string { return q.name + " such as " + q.example }

func (q quantity) suffixes() string {
	return strings.Join(values(q.units, func(u unit) string { return u.suffix }), ", ")
}

// spellings lists a number with each unit.
func (q quantity) spellings(number string) string {
	return orList(values(q.units, func(u unit) string { return number + u.suffix }))
}

// parse reads a number and its unit. Zero needs no unit.
func (q quantity) parse(text string) (float64, error) {
	if text == "0" {
		return 0, nil
	}
	if strings.HasPrefix(text, "-") {
		return 0, fmt.Errorf("%q is negative; it wants %s", text, q.what())
	}
	number, suffix := split(text)
	value, err := strconv.ParseFloat(number, 64)
	if err != nil || number[0] == '.' || number[len(number)-1] == '.' {
		return 0, fmt.Errorf("%q is not %s", text, q.what())
	}
	if suffix == "" {
		return 0, fmt.Errorf("%q has no unit; write %s", text, q.spellings(number))
	}
	for _, u := range q.units {
		if u.suffix == suffix {
			if value *= u.worth; value >= math.MaxInt64 {
				return 0, fmt.Errorf("%q is absurdly large", text)
			}
			return value, nil
		}
	}
	return 0, fmt.Errorf("unknown unit %q in %q%s", suffix, text, q.unitHint(suffix))
}

// unitHint names the unit that differs in case alone, or all units.
func (q quantity) unitHint(suffix string) string {
	for _, u := range q.units {
		if strings.EqualFold(u.suffix, suffix) {
			return fmt.Sprintf(" (did you mean %q?)", u.suffix)
		}
	}
	return "; the units are " + q.suffixes()
}

// split cuts a text behind its leading digits and point.
func split(text string) (number, suffix string) {
	i := strings.IndexFunc(text, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if i < 0 {
		return text, ""
	}
	return text[:i], strings.TrimPrefix(text[i:], " ")
}

// pattern is the regular expression of the quantity's spelling, for the JSON Schema.
func (q quantity) pattern() string {
	return `^([0-9]+(\.[0-9]+)? ?(` + strings.ReplaceAll(q.suffixes(), ", ", "|") + `)|0)$`
}

// ParseDuration reads a duration as it stands in a topology: "40ms".
func ParseDuration(text string) (time.Duration, error) {
	v, err := durations.parse(text)
	return time.Duration(v), err
}

// ParseBandwidth reads a bandwidth as it stands in a topology: "100Mbps".
func ParseBandwidth(text string) (Bandwidth, error) {
	v, err := rates.parse(text)
	return Bandwidth(v), err
}

// ParseShare reads a share as it stands in a topology: "0.1%" is 0.001.
func ParseShare(text string) (float64, error) {
	v, err := shares.parse(text)
	if err == nil && v > 1 {
		err = fmt.Errorf("%q is more than everything", text)
	}
	return v, err
}
