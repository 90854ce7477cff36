package dnsredirect

import "cdnlab/topology"

// health is what the checks of one server add up to. A server is taken for healthy until checks prove otherwise.
type health struct {
	down bool
	run  int // results in a row that speak against the present state
}

// observe takes the result of a check and reports whether the state changed: Fall failed checks in a row take a healthy server
// out, Rise good ones bring it back.
func (h *health) observe(ok bool, rule topology.Health) bool {
	if ok != h.down {
		h.run = 0
		return false
	}
	h.run++
	enough := rule.Fall
	if h.down {
		enough = rule.Rise
	}
	if h.run < enough {
		return false
	}
	h.down, h.run = !h.down, 0
	return true
}
