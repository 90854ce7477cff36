package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"cdnlab": main, "testapp": testApp})
}

// Limits of scripts: what hangs fails its script, and a process that does leaves its goroutines in the script's output.
const (
	processLimit = 5 * time.Minute // counted from the start of all scripts
	waitLimit    = 30 * time.Second
)

// TestScripts runs testdata/script. Each script has ports of its own in HTTP, DNS, ADMIN and GATEWAY, and the same again for a second lab in
// OTHERHTTP and so on. Commands beside testscript's own:
//
//	exits CODE COMMAND…   run a command that must exit with CODE
//	eventually COMMAND…   run a command again and again until it succeeds
//	ready DIR             wait until the lab on DIR has started
func TestScripts(t *testing.T) {
	params := scriptParams(t)
	params.Dir = "testdata/script"
	testscript.Run(t, params)
}

func scriptParams(t *testing.T) testscript.Params {
	return testscript.Params{
		UpdateScripts:       *update,
		Deadline:            time.Now().Add(processLimit),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{"HTTP", "DNS", "ADMIN", "GATEWAY", "APP", "OTHERHTTP", "OTHERDNS", "OTHERADMIN", "OTHERGATEWAY"} {
				env.Setenv(name, strconv.Itoa(freePort(t)))
			}
			env.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")) // a second at the end of each command otherwise
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"eventually": eventually, "exits": exits, "ready": ready},
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if err != nil || neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// ready waits for what a lab writes once every socket of it is bound.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ready DIR")
	}
	state := filepath.Join(ts.MkAbs(args[0]), "lab.json")
	if !poll(func() bool { _, err := os.Stat(state); return err == nil }) {
		ts.Fatalf("no lab on %s after %s", args[0], waitLimit)
	}
}

func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: eventually COMMAND…")
	}
	var err error
	if !poll(func() bool { err = ts.Exec(args[0], args[1:]...); return err == nil }) {
		ts.Fatalf("no success after %s: %v", waitLimit, err)
	}
}

// poll asks until the answer is yes, for the time of a wait.
func poll(done func() bool) bool {
	deadline := time.Now().Add(waitLimit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for now := range tick.C {
		if done() {
			return true
		}
		if now.After(deadline) {
			return false
		}
	}
	return false
}

// nextPort counts upwards from a place of this process's own, below the range that the kernel takes outgoing ports from.
var nextPort atomic.Int64

// freePort returns a port that no loopback address uses, and keeps it until the test ends: whoever else looks for one, as an experiment
// does, finds it in use at an address where no node is.
func freePort(t *testing.T) int {
	nextPort.CompareAndSwap(0, int64(10_000+os.Getpid()*97%15_000))
	for range 1000 {
		port := int(nextPort.Add(1))
		tcp, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		udp, err := net.ListenPacket("udp", fmt.Sprintf(":%d", port))
		tcp.Close()
		if err != nil {
			continue
		}
		udp.Close()
		if kept, err := net.Listen("tcp", fmt.Sprintf("127.255.255.254:%d", port)); err == nil {
			t.Cleanup(func() { kept.Close() })
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// testApp is a user's application: "testapp PORT". It says how long its responses are fresh, except at /silent.
func testApp() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/silent" {
			w.Header().Set("Cache-Control", "max-age=60")
		}
		_, _ = io.WriteString(w, "the app got "+r.Host+r.URL.Path+"\n")
	})
	if err := http.ListenAndServe("127.0.0.1:"+os.Args[1], nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
