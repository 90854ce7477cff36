package main

import (
	"context"
	"errors"
	"fmt"

	"cdnlab/internal/lab"
	"cdnlab/topology"
)

// Exit codes. A command that cdnlab runs (up -- COMMAND, exec) gives its own: 126 and 127 when it cannot be started,
// 128+N when signal N ended it.
const (
	exitRuntime     = 1
	exitUsage       = 2
	exitInvalidFile = 3
	exitUnreachable = 4
	exitMissed      = 99 // an expectation or SLO
	exitInterrupted = 130
)

// exitError ends the process with a code of its own.
type exitError struct {
	code int
	err  error // nil: nothing is left to say
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// report prints what went wrong, if anything did, and returns the exit code.
func (a *app) report(err error) int {
	var faults topology.Faults
	var exit *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &faults):
		fmt.Fprintln(a.stderr, faults.Error()) // each line begins with its place in the file, as a compiler's does
		return exitInvalidFile
	case errors.As(err, &exit):
		if exit.err != nil {
			fmt.Fprintf(a.stderr, "cdnlab: %v\n", exit.err)
		}
		return exit.code
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	fmt.Fprintf(a.stderr, "cdnlab: %v\n", err)
	if errors.Is(err, lab.ErrNotRunning) {
		return exitUnreachable
	}
	return exitRuntime
}
