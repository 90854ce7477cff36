package evict

// Admission decides whether an object may enter a cache, before anything is given up for it.
type Admission interface {
	Admit(hash uint64, size int64) bool // hash of the key; size in the unit of the cache
}

// Always admits everything.
type Always struct{}

// Admit implements Admission.
func (Always) Admit(uint64, int64) bool { return true }
