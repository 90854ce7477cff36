package lab_test

import (
	"context"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"cdnlab/internal/lab"
	"cdnlab/topology"
)

func TestALabThatIsCancelledAtOnceStops(t *testing.T) {
	for _, c := range []struct {
		name   string
		preset string
		sets   []string
	}{
		{"object store", "three-continents", nil},
		{"files of a directory", "tiny", []string{"origins.main.dir=" + t.TempDir()}},
		{"app", "tiny", []string{"origins.main.app=http://127.0.0.1:9"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			top, err := topology.Preset(c.preset, c.sets)
			if err != nil {
				t.Fatal(err)
			}
			ports := freePorts(t, 4)
			opt := lab.Options{DataDir: t.TempDir(), HTTPPort: ports[0], DNSPort: ports[1], AdminPort: ports[2], GatewayPort: ports[3],
				Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))}
			for i := range 50 { // on the same ports and directory: each lab gives back what it has
				startAndCancel(t, top, opt, i%2 == 0)
			}
		})
	}
}

// startAndCancel cancels the lab before its start or right behind it, when its servers may not have begun to accept.
func startAndCancel(t *testing.T, top *topology.Topology, opt lab.Options, before bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if before {
		cancel()
	}
	ended := make(chan error, 1)
	go func() {
		l, err := lab.Start(ctx, top, opt)
		if err == nil {
			cancel()
			err = l.Wait()
		}
		ended <- err
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatalf("the lab ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		stacks := make([]byte, 1<<20)
		t.Fatalf("the lab has not stopped 30 s after it was cancelled:\n%s", stacks[:runtime.Stack(stacks, true)])
	}
}
