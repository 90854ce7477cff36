package lab_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cdnlab/internal/lab"
	"cdnlab/mgmt"
	"cdnlab/topology"
)

// labChild tells the test binary to run a lab instead of tests: a directory, its ports and the file of a topology, with spaces between.
const labChild = "CDNLAB_LAB_TEST_CHILD"

func runChild(args string) error {
	var dir, file string
	var opt lab.Options
	if _, err := fmt.Sscan(args, &dir, &opt.HTTPPort, &opt.DNSPort, &opt.AdminPort, &opt.GatewayPort, &file); err != nil {
		return err
	}
	opt.DataDir, opt.NoNetem = dir, true
	top, err := topology.Load(file, nil)
	if err != nil {
		return err
	}
	l, err := lab.Start(context.Background(), top, opt)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return l.Wait()
}

// The objects of the crash suite: their sizes follow from their numbers, their bodies also from a version.
const crashObjects = 24

var crashSizes = []int{300, 5_000, 280_000, 900_000, 2_500_000, 9_000_000}

func crashBody(n int, version int64) []byte {
	b := make([]byte, crashSizes[n%len(crashSizes)])
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(version), byte(version >> 8)}).Read(b) // never fails
	return b
}

// crashSite is an app whose objects change, a lab in a process of its own before it, and what clients may get.
type crashSite struct {
	t     *testing.T
	dir   string
	ports []uint16
	file  string
	nodes []topology.Node // the hub, then the edge
	child *exec.Cmd

	version [crashObjects]atomic.Int64 // that the app has
	least   [crashObjects]atomic.Int64 // that may be served: those before were purged
	answers atomic.Int64               // that came whole and were right
	hits    atomic.Int64               // of these, out of the edge's cache
}

func newCrashSite(t *testing.T) *crashSite {
	s := &crashSite{t: t, dir: t.TempDir(), ports: freePorts(t, 4)}
	app := http.Server{Handler: s}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = app.Serve(ln) // ends when it is closed
	}()
	t.Cleanup(func() {
		app.Close()
		<-ended
	})
	s.file = filepath.Join(t.TempDir(), "crash.yaml")
	text := fmt.Sprintf(`
origins: { main: { at: Paris, app: "http://%s" } }
hubs:    { eu: { at: Frankfurt, ram: 32MiB, disk: 128MiB } }
edges:   { paris: { ram: 16MiB, disk: 64MiB } }
clients: { lyon: {} }
sites:   { www.cdn.test: { origin: main } }
`, ln.Addr())
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	top, err := topology.Load(s.file, nil)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := top.Plan(topology.PlanOptions{HTTPPort: s.ports[0], DNSPort: s.ports[1], GatewayPort: s.ports[3]})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []topology.NodeName{"eu-1", "paris-1"} {
		n, _ := plan.Node(name)
		s.nodes = append(s.nodes, n)
	}
	return s
}

// ServeHTTP is the app.
func (s *crashSite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil || n < 0 || n >= crashObjects {
		http.NotFound(w, r)
		return
	}
	v := s.version[n].Load()
	w.Header().Set("Cache-Control", "max-age=3600")
	w.Header().Set("ETag", fmt.Sprintf(`"%d"`, v))
	w.Header().Set("Surrogate-Key", fmt.Sprint("t", n))
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(crashBody(n, v)))
}

// begin starts the lab.
func (s *crashSite) begin() {
	s.t.Helper()
	s.child = exec.Command(os.Args[0])
	s.child.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %d %d %d %s", labChild, s.dir, s.ports[0], s.ports[1], s.ports[2], s.ports[3], s.file))
	var said bytes.Buffer
	s.child.Stderr = &said
	out, err := s.child.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.child.Start(); err != nil {
		s.t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		_ = s.child.Wait()
		s.t.Fatalf("the lab did not start: %q, %v, %s", line, err, said.String())
	}
}

// kill ends the lab as kill -9 does, and reports whether it was alive until then.
func (s *crashSite) kill() {
	s.t.Helper()
	if err := s.child.Process.Signal(syscall.Signal(0)); err != nil {
		s.t.Errorf("the lab has ended by itself: %v", err)
	}
	_ = s.child.Process.Kill()
	err := s.child.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		s.t.Errorf("the lab has ended by itself: %v", err)
	}
}

// load has clients and a publisher at work until ctx ends.
func (s *crashSite) load(ctx context.Context, seed uint64) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := range 6 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				s.request(ctx, client, rng)
			}
		})
	}
	wg.Go(func() {
		rng := rand.New(rand.NewPCG(seed, 99))
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		for ctx.Err() == nil {
			s.publish(ctx, client, rng)
			select {
			case <-time.After(time.Duration(rng.IntN(20)) * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
}

// request asks for an object, or a part of it, and holds what comes against what the app has sent.
func (s *crashSite) request(ctx context.Context, client *http.Client, rng *rand.Rand) {
	n := rng.IntN(crashObjects)
	least := s.least[n].Load()
	size := crashSizes[n%len(crashSizes)]
	first, end := 0, size
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/%d", s.nodes[1].HTTP, n), nil)
	if err != nil {
		s.t.Error(err)
		return
	}
	req.Host = "www.cdn.test"
	if rng.IntN(3) == 0 {
		first = rng.IntN(size)
		end = first + 1 + rng.IntN(size-first)
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", first, end-1))
	}
	resp, err := client.Do(req)
	if err != nil {
		return // nobody is there
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 500 {
		return // it broke off, as the client can tell
	}
	if resp.StatusCode == http.StatusOK {
		first, end = 0, size
	}
	v, err := strconv.ParseInt(strings.Trim(resp.Header.Get("ETag"), `"`), 10, 64)
	if err != nil || resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		s.t.Errorf("object %d is answered %d, %v", n, resp.StatusCode, resp.Header)
		return
	}
	if want := crashBody(n, v)[first:end]; !bytes.Equal(got, want) {
		s.t.Errorf("object %d, version %d, %d to %d: wrong bytes (%d)", n, v, first, end, len(got))
	}
	if v < least {
		s.t.Errorf("object %d is served in version %d after that before %d was purged: %v", n, v, least, resp.Header)
	}
	s.answers.Add(1)
	if strings.HasPrefix(resp.Header.Get("X-Cache"), "HIT") {
		s.hits.Add(1)
	}
}

// publish gives an object a new version and purges the old one.
func (s *crashSite) publish(ctx context.Context, client *http.Client, rng *rand.Rand) {
	n := rng.IntN(crashObjects)
	v := s.version[n].Add(1)
	spec := mgmt.PurgeSpec{URL: fmt.Sprintf("http://www.cdn.test/%d", n)}
	switch {
	case rng.IntN(50) == 0:
		spec = mgmt.PurgeSpec{All: true}
	case rng.IntN(2) == 0:
		spec = mgmt.PurgeSpec{Key: fmt.Sprint("t", n)}
	}
	token, err := os.ReadFile(filepath.Join(s.dir, "token"))
	if err != nil {
		s.t.Error(err)
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/api/v1/purge", s.ports[2]), strings.NewReader(spec.String()))
	if err != nil {
		s.t.Error(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := client.Do(req)
	if err != nil {
		return // killed: the purge is not acknowledged
	}
	defer resp.Body.Close()
	var done mgmt.Purged
	if err := json.NewDecoder(resp.Body).Decode(&done); err != nil || resp.StatusCode != http.StatusOK {
		if ctx.Err() == nil && resp.StatusCode < 500 {
			s.t.Errorf("a purge is answered %d, %v", resp.StatusCode, err)
		}
		return
	}
	if len(done.Pending)+len(done.Unreachable) == 0 {
		s.least[n].Store(v)
	}
}

// harm damages some files of the caches.
func (s *crashSite) harm(rng *rand.Rand) {
	files, err := filepath.Glob(filepath.Join(s.dir, "cache", "*", "objects", "*", "*"))
	if err != nil {
		s.t.Fatal(err)
	}
	logs, _ := filepath.Glob(filepath.Join(s.dir, "cache", "*", "purges")) // the pattern is well-formed
	if rng.IntN(5) == 0 {
		files = append(files, logs...)
	}
	for range min(len(files), 5) {
		path := files[rng.IntN(len(files))]
		raw, err := os.ReadFile(path)
		if err != nil || len(raw) == 0 {
			continue // removed already
		}
		at := rng.IntN(len(raw))
		isLog := filepath.Base(path) == "purges"
		switch op := rng.IntN(3); {
		case op == 0 && !isLog:
			err = os.Truncate(path, int64(at))
		case op == 1:
			err = os.Remove(path)
		default:
			raw[at] ^= 1 << rng.IntN(8)
			err = os.WriteFile(path, raw, 0o600)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// round runs the lab under load until clients have had so many answers.
func (s *crashSite) round(seed uint64, answers int64, meanwhile func()) {
	s.t.Helper()
	s.begin()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.load(ctx, seed)
	}()
	s.await(answers / 2)
	if meanwhile != nil {
		meanwhile()
	}
	s.await(answers / 2)
	s.kill()
	cancel()
	<-ended
}

// await waits for so many more answers.
func (s *crashSite) await(answers int64) {
	s.t.Helper()
	target := s.answers.Load() + answers
	for deadline := time.Now().Add(time.Minute); s.answers.Load() < target; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Errorf("%d of %d answers within a minute", s.answers.Load()+answers-target, answers)
			return
		}
	}
}

// TestCrashes kills a lab under load again and again at a random moment, and damages its caches while it is down: nobody gets a
// wrong byte, nor what was purged. CDNLAB_CRASH_ROUNDS says how often.
func TestCrashes(t *testing.T) {
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	if v := os.Getenv("CDNLAB_CRASH_ROUNDS"); v != "" {
		var err error
		if rounds, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	s := newCrashSite(t)
	rng := rand.New(rand.NewPCG(5, 5))
	for round := range rounds {
		s.round(uint64(round), int64(10+rng.IntN(150)), nil)
		if round%2 == 1 {
			s.harm(rng)
		}
	}
	t.Logf("%d rounds, %d answers, %d hits", rounds, s.answers.Load(), s.hits.Load())
	if s.hits.Load() < s.answers.Load()/10 {
		t.Errorf("%d hits of %d answers: the caches were of no use", s.hits.Load(), s.answers.Load())
	}
}

// onTmpfs puts the caches of a site on a file system of so many bytes.
func (s *crashSite) onTmpfs(size int) (dir string) {
	s.t.Helper()
	dir = filepath.Join(s.dir, "cache")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := unix.Mount("cache", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		s.t.Skipf("no file system of its own to be had: %v", err)
	}
	s.t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			s.t.Error(err)
		}
	})
	return dir
}

func TestAFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("takes its time")
	}
	s := newCrashSite(t)
	s.onTmpfs(12 << 20)
	for round := range 4 {
		s.round(uint64(round), 100, nil)
	}
	if s.hits.Load() == 0 {
		t.Error("no hit at all")
	}
}

func TestAReadOnlyDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("takes its time")
	}
	s := newCrashSite(t)
	dir := s.onTmpfs(64 << 20)
	s.round(1, 100, nil)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	s.round(2, 100, nil)
}

// TestNoDescriptorsLeft takes away what the lab may open, and gives it back.
func TestNoDescriptorsLeft(t *testing.T) {
	if testing.Short() {
		t.Skip("takes its time")
	}
	s := newCrashSite(t)
	s.round(1, 100, nil)
	s.round(2, 200, func() {
		var old unix.Rlimit
		pid := s.child.Process.Pid
		open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		err = errors.Join(err, unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &old),
			unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(len(open)), Max: old.Max}, nil))
		if err != nil {
			t.Error(err)
			return
		}
		time.Sleep(500 * time.Millisecond)
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &old, nil); err != nil {
			t.Error(err)
		}
	})
}
