package cache

import "hash/maphash"

// purgeHistory is how many purges of single keys are remembered.
const purgeHistory = 1024

// purgeLog remembers the latest purges, so that a response that was requested before one is not stored after it.
type purgeLog struct {
	now   Ticket // counts purges
	floor Ticket // tickets before it are purged whatever their key: what happened to them is forgotten, or was a purge of all
	ring  [purgeHistory]uint64
}

var purgeSeed = maphash.MakeSeed()

func (l *purgeLog) key(key []byte) {
	l.ring[l.now%purgeHistory] = maphash.Bytes(purgeSeed, key)
	l.now++
	if l.now > l.floor+purgeHistory {
		l.floor = l.now - purgeHistory
	}
}

func (l *purgeLog) all() {
	l.now++
	l.floor = l.now
}

// since reports whether the key was purged after the ticket was taken.
func (l *purgeLog) since(t Ticket, key []byte) bool {
	if t < l.floor {
		return true
	}
	if t == l.now {
		return false
	}
	hash := maphash.Bytes(purgeSeed, key)
	for ; t < l.now; t++ {
		if l.ring[t%purgeHistory] == hash {
			return true
		}
	}
	return false
}
