package distribution

import (
	"slices"

	"cdnlab/topology"
)

// simStream is a followed connection.
type simStream struct {
	w        *world
	child    *simNode
	to       *simNode // nil for the root
	index    int      // of the parent among the child's candidates
	sender   sender
	table    *reports
	up, down uint64 // its names at both ends
	told     uint64 // version of the reports that were sent
	open     bool
	dead     bool // nothing passes any more, which both ends have to find out
	began    int64
	anew     bool
	heard    int64 // by the child
	last     [2]int64
}

func (s *simStream) attach() {
	if s.to != nil {
		s.to.children = append(s.to.children, s)
	} else {
		s.w.streams = append(s.w.streams, s)
	}
}

// close ends a stream at once for who closes it; the other end hears of it later, if anything passes.
func (s *simStream) close() {
	if !s.open {
		return
	}
	s.open = false
	w, child, life := s.w, s.child, s.child.life
	gone := func(list []*simStream) []*simStream {
		return slices.DeleteFunc(list, func(x *simStream) bool { return x == s })
	}
	ended := func() {
		if s.to == nil {
			w.streams = gone(w.streams)
		} else {
			s.to.children = gone(s.to.children)
		}
		s.table.end(s.up, w.clock())
		if s.to != nil && s.to.up {
			s.to.pump()
		}
		w.look()
	}
	late := w.delay()
	if s.dead || w.cut(child.node.Name, s.name()) {
		late += silence
	}
	w.after(late, ended)
	if child.parent == s && child.up {
		w.after(w.delay(), func() {
			if child.life == life {
				child.lost(s)
			}
		})
	}
}

func (s *simStream) name() topology.NodeName { return s.child.list[s.index].node.Name }

// send has something happen at the other end, in order.
func (s *simStream) send(down bool, do func()) {
	way := 0
	if down {
		way = 1
	}
	life := s.child.life
	s.last[way] = max(s.last[way]+1, s.w.now+int64(s.w.delay()))
	s.w.at(s.last[way], func() {
		s.dead = s.dead || s.w.cut(s.child.node.Name, s.name())
		if s.open && !s.dead && s.child.life == life {
			do()
		}
	})
}

// pump sends a child what there is for it.
func (s *simStream) pump() {
	for more := true; more && s.open && s.down != 0; {
		b, rest, err := s.sender.next(nil)
		if err != nil {
			s.close()
			return
		}
		if more = rest; len(b) > 0 {
			s.send(true, func() { s.child.receive(s, b) })
		}
	}
}
