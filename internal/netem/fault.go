package netem

import "time"

// Fault is what is wrong with a link. The zero value is nothing.
type Fault struct {
	Latency   time.Duration // added to the RTT
	Jitter    time.Duration // up to this much more, each turn anew
	Loss      float64       // share of packets lost, 0…1, besides those that the link loses anyway
	Bandwidth int64         // at most so many bits per second, each way; 0 is no limit
	Down      bool          // nothing crosses: connections stall, new ones do not come about
	Reset     bool          // connections are broken off with a RST, new ones too
}

// And returns both faults at once.
func (f Fault) And(o Fault) Fault {
	f.Latency += o.Latency
	f.Jitter += o.Jitter
	f.Loss = 1 - (1-f.Loss)*(1-o.Loss)
	f.Bandwidth = lesser(f.Bandwidth, o.Bandwidth)
	f.Down = f.Down || o.Down
	f.Reset = f.Reset || o.Reset
	return f
}

// on returns what a link does while the fault holds.
func (f Fault) on(p Params) Params {
	p.RTT += f.Latency
	p.Loss = 1 - (1-p.Loss)*(1-f.Loss)
	p.Bandwidth = lesser(p.Bandwidth, f.Bandwidth)
	return p
}

// lesser is the tighter of two limits, of which 0 is none.
func lesser(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
