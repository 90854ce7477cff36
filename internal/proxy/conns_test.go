package proxy

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

func TestSweepEndsWhatTakesTooLong(t *testing.T) {
	for _, tt := range []struct {
		name  string
		phase phase
		limit time.Duration // 0: none
		write bool          // writing fails as well
	}{
		{"nothing has come", phaseNew, requestHead, false},
		{"a head is coming", phaseHead, requestHead, false},
		{"the handler sees to the time", phaseBusy, 0, false},
		{"a response is written", phaseWrite, responseTime, true},
		{"between requests", phaseIdle, requestIdle, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			defer far.Close()
			var c connections
			c.changed(far, fasthttp.StateNew)
			defer c.stop()
			c.enter(c.find(far), tt.phase)
			failed := func(do func([]byte) (int, error)) bool {
				_, err := do(make([]byte, 1))
				return errors.Is(err, os.ErrDeadlineExceeded)
			}
			if tt.limit == 0 {
				for range 10 * sweeps(requestIdle) {
					c.sweep()
				}
				if p := c.find(far).phase.Load(); p != tt.phase {
					t.Errorf("the phase is %d, want %d whatever the time", p, tt.phase)
				}
				return
			}
			for range sweeps(tt.limit) {
				c.sweep()
			}
			if p := c.find(far).phase.Load(); p != tt.phase {
				t.Fatalf("over after %s or less", tt.limit)
			}
			c.sweep()
			if !failed(far.Read) {
				t.Errorf("reading goes on after %s", tt.limit)
			}
			if tt.write && !failed(far.Write) {
				t.Errorf("writing goes on after %s", tt.limit)
			}
		})
	}
}
