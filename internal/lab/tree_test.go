package lab

import (
	"context"
	"errors"
	"testing"
)

func TestTheTreeEndsBeforeTheStore(t *testing.T) {
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		first, second error // how the parts end by themselves; nil for when they are told to
	}{
		"told to":        {},
		"the tree fails": {nil, broken},
		"the store does": {broken, nil},
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan string, 2)
			part := func(name string, err error) func(context.Context) error {
				return func(ctx context.Context) error {
					if err == nil {
						<-ctx.Done()
					}
					ended <- name
					return err
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			if tt.first == nil && tt.second == nil {
				cancel()
			}
			defer cancel()
			want := errors.Join(tt.first, tt.second)
			if err := (together{part("store", tt.first), part("tree", tt.second)}).Run(ctx); (err == nil) != (want == nil) || err != nil && !errors.Is(err, broken) {
				t.Errorf("Run = %v, want %v", err, want)
			}
			if got := <-ended + " " + <-ended; got == "store tree" && tt.first == nil {
				t.Errorf("they end in the order %s", got)
			}
		})
	}
}
