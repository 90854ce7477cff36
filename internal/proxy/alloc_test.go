//go:build !race

// With the race detector a sync.Pool loses what it holds at random.

package proxy

import (
	"context"
	"testing"
)

func TestHitAllocatesNothing(t *testing.T) {
	for name, set := range map[string]setup{"": {}, "limited ": {guard: &doorman{lines: limitLines}}} {
		testHitsAllocateNothing(t, name, stored(t, set))
	}
}

func testHitsAllocateNothing(t *testing.T, prefix string, f *tier) {
	for _, tt := range hits {
		t.Run(prefix+tt.name, func(t *testing.T) {
			rc := requestContext(t, f.proxy, tt.raw)
			if n := testing.AllocsPerRun(100, func() {
				rc.Response.Reset()
				f.proxy.serve(context.Background(), rc)
			}); n != 0 {
				t.Errorf("a hit allocates %v times, want 0", n)
			}
			if rc.Response.StatusCode() != tt.status {
				t.Errorf("= %d, want %d", rc.Response.StatusCode(), tt.status)
			}
		})
	}
	if n := f.origin().count(); n != 1 {
		t.Errorf("the origin was asked %d times, want 1", n)
	}
}
