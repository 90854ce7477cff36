package distribution

import "sync"

// signal wakes all who wait for something to change.
type signal struct {
	mu sync.Mutex // guards c
	c  chan struct{}
}

// wait returns a channel that is closed at the next fire. Take it before looking at what may change.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == nil {
		s.c = make(chan struct{})
	}
	return s.c
}

func (s *signal) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c != nil {
		close(s.c)
		s.c = nil
	}
}
