package origin

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cdnlab/internal/stats"
	"cdnlab/topology"
)

// crashDir tells the test binary to be an origin on that directory instead of running tests.
const crashDir = "CDNLAB_ORIGIN_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := serveUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func serveUntilKilled(dir string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s, err := New(Config{Node: topology.Node{Name: "main", Group: "main"}, Topology: testTopology(topology.Origin{}), Listener: ln,
		DataDir: dir, Token: testToken, Secret: testSecret, Stats: stats.New(time.Now()), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return s.Run(context.Background())
}

// Objects for the crash: size and content follow from the number.
const crashObjects = 200

func crashBody(i int) io.Reader {
	return io.LimitReader(patternOf(uint64(i)), int64(1+i*i*13%300_000))
}

// TestKill9 uploads many objects at once to an origin in a process of its own, kills it at a random moment, and looks at what
// the directory holds: every upload that was acknowledged is whole, and what else is visible is whole too.
func TestKill9(t *testing.T) {
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("round %d", round), func(t *testing.T) {
			after := int64(rand.New(rand.NewPCG(seed, 0)).IntN(crashObjects - 1))
			t.Logf("killed after %d acknowledgements", after)
			dir := t.TempDir()
			acknowledged := uploadAndKill(t, dir, after)
			checkAfterCrash(t, filepath.Join(dir, "objects"), acknowledged)
		})
	}
}

func uploadAndKill(t *testing.T, dir string, after int64) (acknowledged []int) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the child did not start: %v", err)
	}
	addr = strings.TrimSpace(addr)
	transport := &http.Transport{MaxConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		done atomic.Int64
		kill = sync.OnceFunc(func() { _ = child.Process.Kill() })
	)
	if after == 0 {
		kill()
	}
	for i := range crashObjects {
		wg.Go(func() {
			r, err := http.NewRequest(http.MethodPut, fmt.Sprintf("http://%s/crash/%d", addr, i), crashBody(i))
			if err != nil {
				t.Error(err)
				return
			}
			r.Host = testSite
			r.Header.Set("Authorization", "Bearer "+testToken)
			resp, err := client.Do(r)
			if err != nil {
				return // killed
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusCreated {
				t.Errorf("upload %d = %s", i, resp.Status)
				return
			}
			mu.Lock()
			acknowledged = append(acknowledged, i)
			mu.Unlock()
			if done.Add(1) >= after {
				kill()
			}
		})
	}
	wg.Wait()
	_ = child.Wait() // killed
	return acknowledged
}

func checkAfterCrash(t *testing.T, dir string, acknowledged []int) {
	t.Helper()
	var log strings.Builder
	s := openTestStore(t, dir, &log)
	for _, i := range acknowledged {
		if _, ok := s.current(testSite, fmt.Sprintf("/crash/%d", i)); !ok {
			t.Errorf("object %d was acknowledged and is lost", i)
		}
	}
	entries, _ := s.list(testSite, "", "", crashObjects+1)
	for _, e := range entries {
		var i int
		if _, err := fmt.Sscanf(e.Path, "/crash/%d", &i); err != nil {
			t.Errorf("an object nobody uploaded: %s", e.Path)
			continue
		}
		want, err := io.ReadAll(crashBody(i))
		if err != nil {
			t.Fatal(err)
		}
		if got := bodyOf(t, s, e.Path, 0); got != string(want) {
			t.Errorf("object %d is torn: %d bytes, want %d", i, len(got), len(want))
		}
	}
	if log.Len() > 0 {
		t.Errorf("the store found damage: %s", &log)
	}
	if got := files(t, dir); len(got) != 2*len(entries) || len(files(t, s.tmpDir())) != 0 {
		t.Errorf("%d files for %d objects, and %d unfinished uploads", len(got), len(entries), len(files(t, s.tmpDir())))
	}
	t.Logf("%d acknowledged, %d visible", len(acknowledged), len(entries))
}
