package distribution

import (
	"encoding/binary"

	"cdnlab/internal/journal"
)

// maxOpen is of how many events a report tells.
const maxOpen = 256

// openPushes are the numbers of the events whose objects have not come to a node yet, from the first on, maxOpen at most: varints of the
// differences between them. It is a string so that reports can be compared.
type openPushes string

// packOpen packs numbers in their order.
func packOpen(seqs []journal.Seq) openPushes {
	var b []byte
	last := journal.Seq(0)
	for _, s := range seqs[:min(len(seqs), maxOpen)] {
		b = binary.AppendUvarint(b, uint64(s-last))
		last = s
	}
	return openPushes(b)
}

// each calls f with the numbers until it returns false; ok says that all could be read.
func (o openPushes) each(f func(journal.Seq) bool) (ok bool) {
	last := journal.Seq(0)
	for b := []byte(o); len(b) > 0; {
		n, size := binary.Uvarint(b)
		if size <= 0 || last+journal.Seq(n) < last {
			return false
		}
		last, b = last+journal.Seq(n), b[size:]
		if !f(last) {
			return true
		}
	}
	return true
}

func (o openPushes) valid() bool {
	n := 0
	ok := o.each(func(journal.Seq) bool { n++; return n <= maxOpen })
	return ok && n <= maxOpen
}

// lacks reports whether what an event pushed to the node has not come yet. Behind the last event that a report has room for it is taken for so.
func (r *report) lacks(at journal.Seq) (lacks bool) {
	last, n := journal.Seq(0), 0
	r.Open.each(func(s journal.Seq) bool {
		last, lacks = s, s == at
		n++
		return !lacks
	})
	return lacks || n == maxOpen && at > last
}
