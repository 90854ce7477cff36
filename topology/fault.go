package topology

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing that is wrong with a topology file and what would be right.
type Fault struct {
	File    string // the file, "preset NAME", or the --set option that the value came from
	Line    int    // from 1; 0 when the fault has no place of its own in a file
	Col     int    // from 1, in characters
	Path    string // "edges.paris.parent"; empty for the file as a whole
	Message string
}

// Error renders "file:line:col: path: message", without what is not known.
func (f Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Col)
	}
	if f.Path != "" {
		b.WriteString(": " + f.Path)
	}
	return b.String() + ": " + f.Message
}

// Faults are all the faults of a file, in the order of their places; those of --set options come last.
type Faults []Fault

// Error renders one fault per line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// pos is a place in a file, or in a --set option.
type pos struct {
	file string
	line int // 0 in a --set option
	col  int
}

// mark is a value's place in the file and in the schema, kept for faults that show later.
type mark struct {
	pos  pos
	path string
	set  bool // the file gives the value; otherwise it is the default
}

// collector gathers faults.
type collector struct {
	faults  Faults
	broken  map[string]bool // paths whose value could not be read
	guesses int             // how many names were looked for among many
}

const (
	maxMessage = 400 // bytes; a value that is quoted may be long
	maxGuesses = 200 // for a file in which everything is wrong
)

func (c *collector) fault(m mark, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + " …"
	}
	c.faults = append(c.faults, Fault{File: m.pos.file, Line: m.pos.line, Col: m.pos.col, Path: m.path, Message: message})
}

// mayGuess reports whether another name may be looked for among many.
func (c *collector) mayGuess() bool {
	c.guesses++
	return c.guesses <= maxGuesses
}

// unread reports a value that could not be read, so that what only follows from its absence need not be reported.
func (c *collector) unread(m mark, format string, args ...any) {
	c.fault(m, format, args...)
	if c.broken == nil {
		c.broken = make(map[string]bool)
	}
	c.broken[m.path] = true
}

// merge adds the faults of a later phase, without those of values that could not be read, or of what lies in them.
func (c *collector) merge(later *collector) {
	for _, f := range later.faults {
		if !c.isBroken(f.Path) {
			c.faults = append(c.faults, f)
		}
	}
}

func (c *collector) isBroken(path string) bool {
	for i := len(path); i > 0; i = strings.LastIndexAny(path[:i], ".[") {
		if c.broken[path[:i]] {
			return true
		}
	}
	return false
}

// about reports whether there is a fault below one of the keys, or of the file as a whole.
func (c *collector) about(keys ...string) bool {
	return slices.ContainsFunc(c.faults, func(f Fault) bool {
		key, _, _ := strings.Cut(f.Path, ".")
		return f.Path == "" || slices.Contains(keys, key)
	})
}

// err returns the faults in order, each once, or nil.
func (c *collector) err() error {
	if len(c.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(c.faults, func(a, b Fault) int {
		if (a.Line == 0) != (b.Line == 0) {
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	return slices.Compact(c.faults)
}
