package main

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"cdnlab/internal/lab"
)

// surroundings is what a command that runs inside the lab is told about it.
type surroundings struct {
	state   lab.State
	dataDir string
	gateway string   // ADDRESS:PORT of a city's gateway
	sites   []string // that must be reached through it
}

// environ returns base with the variables that lead HTTP clients through the gateway and this program's own commands to
// the lab. Local addresses stay out of the proxy; the sites do not, whatever NO_PROXY said.
func (s surroundings) environ(base []string) ([]string, error) {
	dir, err := filepath.Abs(s.dataDir)
	if err != nil {
		return nil, err
	}
	proxy := "http://" + s.gateway
	direct := s.noProxy(base)
	set := []string{
		"http_proxy=" + proxy, "HTTP_PROXY=" + proxy,
		"no_proxy=" + direct, "NO_PROXY=" + direct,
		"CDNLAB_ADMIN=" + s.state.Admin,
		"CDNLAB_DATA_DIR=" + dir,
		"CDNLAB_DNS=" + s.dns(),
		"CDNLAB_GATEWAY=http://" + s.state.Gateway.String(),
		"CDNLAB_HTTP_PORT=" + strconv.Itoa(int(s.state.HTTPPort)),
		"CDNLAB_TOKEN_FILE=" + filepath.Join(dir, "token"),
		"CDNLAB_ZONE=" + s.state.Zone,
	}
	env := slices.DeleteFunc(slices.Clone(base), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.ContainsFunc(set, func(s string) bool { return strings.HasPrefix(s, name+"=") })
	})
	return append(env, set...), nil
}

func (s surroundings) dns() string {
	if len(s.state.DNS) == 0 {
		return ""
	}
	return s.state.DNS[0].String()
}

// noProxy is the user's own list without what would keep a site out of the proxy, and with the local addresses.
func (s surroundings) noProxy(base []string) string {
	list := []string{"localhost", "127.0.0.0/8", "127.0.0.1", "::1"}
	for _, kv := range base {
		name, value, _ := strings.Cut(kv, "=")
		if name != "NO_PROXY" && name != "no_proxy" {
			continue
		}
		for _, entry := range strings.Split(value, ",") {
			entry = strings.TrimSpace(entry)
			if entry != "" && !slices.Contains(list, entry) && !slices.ContainsFunc(s.sites, func(site string) bool { return exempts(entry, site) }) {
				list = append(list, entry)
			}
		}
	}
	return strings.Join(list, ",")
}

// exempts reports whether an entry of NO_PROXY covers host.
func exempts(entry, host string) bool {
	if entry == "*" {
		return true
	}
	if at, err := netip.ParseAddrPort(entry); err == nil {
		return at.Addr().String() == host
	}
	entry, _, _ = strings.Cut(entry, ":")
	entry = strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(entry, "*"), "."))
	return entry == host || entry != "" && strings.HasSuffix(host, "."+entry)
}

// runInside runs a command of the user's until it ends, hands it the signals that this process gets, and returns its exit
// code as an exitError when that is not 0. When ctx is cancelled the command is asked to end, and killed 5 s later.
func (a *app) runInside(ctx context.Context, argv, env []string) error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)

	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = a.stdin, a.stdout, a.stderr, env
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		code := 126
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			code = 127
		}
		return &exitError{code, err}
	}
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		forward(signals, cmd.Process, done)
	}()
	err := cmd.Wait()
	close(done)
	<-stopped
	return exitOf(cmd.ProcessState, err)
}

// forward passes signals on. Those that a terminal's keys send have reached the command already, which is of the same
// process group: twice would be once too often for programs that take the second Ctrl-C for "at once".
func forward(signals <-chan os.Signal, to *os.Process, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case s := <-signals:
			if (s == os.Interrupt || s == syscall.SIGQUIT) && inForeground() {
				continue
			}
			_ = to.Signal(s) // it has just ended: nobody is left to tell
		}
	}
}

// inForeground reports whether the keys of a terminal reach this process.
func inForeground() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// exitOf turns the end of a command into the end of this one.
func exitOf(state *os.ProcessState, err error) error {
	if state == nil {
		return err
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return &exitError{128 + int(status.Signal()), nil}
	}
	if code := state.ExitCode(); code != 0 {
		return &exitError{code, nil}
	}
	return nil
}

// runWith runs a command with its surroundings in its environment.
func (a *app) runWith(ctx context.Context, s surroundings, argv []string) error {
	env, err := s.environ(os.Environ())
	if err != nil {
		return err
	}
	return a.runInside(ctx, argv, env)
}
