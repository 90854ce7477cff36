package lab

import (
	"context"
	"errors"
	"log/slog"
)

// runner is one server of the lab: it serves until its context is cancelled, and returns nil then.
type runner interface{ Run(context.Context) error }

// process is a runner that runs.
type process struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned and its sockets are closed
}

// start binds and builds a server and lets it run. failed is called when it ends with an error.
func start(ctx context.Context, log *slog.Logger, build func(*sockets) (runner, error), failed func(error)) (*process, error) {
	s := sockets{log: log}
	r, err := build(&s)
	if err != nil {
		return nil, errors.Join(err, s.closeAll())
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &process{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		defer cancel()
		if err := errors.Join(r.Run(ctx), s.closeAll()); err != nil {
			failed(err)
		}
	}()
	return p, nil
}
