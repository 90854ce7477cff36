package distribution

import (
	"bufio"
	"context"
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cdnlab/internal/journal"
	"cdnlab/topology"
)

// treeChild tells the test binary to be a node instead: a directory, the port of all nodes, and the node's name.
const treeChild = "CDNLAB_TREE_TEST_CHILD"

// diary is a Sink that writes down in a file what it is told. What was written outlives kill -9.
type diary struct {
	Puller // nothing is pushed
	f      *os.File
}

func (d diary) Apply(e journal.Event)  { d.write(fmt.Sprint(uint64(e.Seq), " ", e.Value)) }
func (d diary) Outdated(origin string) { d.write("outdated " + origin) }
func (d diary) write(line string) {
	if _, err := d.f.WriteString(line + "\n"); err != nil {
		panic(err) // in a child: the test meets its end
	}
}

func killNetwork(port uint16) (*topology.Topology, *topology.Plan, error) {
	top, err := topology.Parse("net.yaml", []byte(smallTree), "", nil)
	if err != nil {
		return nil, nil, err
	}
	plan, err := top.Plan(topology.PlanOptions{HTTPPort: port})
	return top, plan, err
}

// runNode is a node until it is killed.
func runNode(args string) error {
	var dir, name string
	var port uint16
	if _, err := fmt.Sscan(args, &dir, &port, &name); err != nil {
		return err
	}
	top, plan, err := killNetwork(port)
	if err != nil {
		return err
	}
	node, _ := plan.Node(topology.NodeName(name))
	ln, err := net.Listen("tcp", node.HTTP.String())
	if err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	var take func(string) func(net.Conn)
	var run func(context.Context) error
	if node.Kind == topology.KindOrigin {
		root, err := NewRoot(RootConfig{Node: node, Topology: top, Plan: plan, Dir: filepath.Join(dir, name), Rand: crand.Reader, Now: time.Now, Log: log})
		if err != nil {
			return err
		}
		take, run = root.Take, root.Run
	} else {
		file := filepath.Join(dir, name+".applied")
		_, missing := os.Stat(file)
		f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		sink := diary{f: f}
		sink.write("start")
		member := New(Config{Node: node, Topology: top, Plan: plan, Dir: filepath.Join(dir, name), Stored: missing == nil, LookAround: 200 * time.Millisecond,
			Rand: rand.New(rand.NewPCG(1, uint64(os.Getpid()))), Now: time.Now, Log: log, Dial: func(ctx context.Context, to topology.Node) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "tcp", to.HTTP.String())
			}})
		take, run = member.Take, func(ctx context.Context) error { return member.Run(ctx, sink) }
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go handOver(c, take)
		}
	}()
	fmt.Println("ready")
	return run(context.Background())
}

func handOver(c net.Conn, take func(string) func(net.Conn)) {
	defer c.Close()
	l := &link{Conn: c, br: bufio.NewReader(c)}
	req, err := http.ReadRequest(l.br)
	if err != nil {
		return
	}
	if run := take(req.RequestURI); run != nil {
		run(l)
	}
}

// killTree is a tree of which each node is a process.
type killTree struct {
	t     *testing.T
	dir   string
	port  uint16
	plan  *topology.Plan
	nodes map[topology.NodeName]*exec.Cmd

	mu    sync.Mutex // guards the fields below
	acked map[uint64]string
	last  uint64
	epoch string
}

var killNames = []topology.NodeName{"main", "eu-1", "us-1", "paris-1", "london-1", "boston-1"}

func newKillTree(t *testing.T) *killTree {
	ln, err := net.Listen("tcp", ":0") // free at all addresses
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(ln.Addr().(*net.TCPAddr).Port)
	ln.Close()
	_, plan, err := killNetwork(port)
	if err != nil {
		t.Fatal(err)
	}
	k := &killTree{t: t, dir: t.TempDir(), port: port, plan: plan, nodes: map[topology.NodeName]*exec.Cmd{}, acked: map[uint64]string{}}
	t.Cleanup(func() {
		for name := range k.nodes {
			k.kill(name)
		}
	})
	for _, name := range killNames {
		k.start(name)
	}
	return k
}

func (k *killTree) start(name topology.NodeName) {
	k.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %s", treeChild, k.dir, k.port, name))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		k.t.Fatal(err)
	}
	k.nodes[name] = cmd
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		k.t.Fatalf("%s did not start: %q, %v", name, line, err)
	}
}

// kill ends a node as kill -9 does.
func (k *killTree) kill(name topology.NodeName) {
	cmd := k.nodes[name]
	delete(k.nodes, name)
	_ = cmd.Process.Kill()
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		k.t.Errorf("%s has ended by itself: %v", name, err)
	}
}

// position is the file that holds how far a node is.
func (k *killTree) position(name topology.NodeName) string {
	return filepath.Join(k.dir, string(name), "main")
}

// positions are the files of before a round: a node that goes on from there applies events again.
func (k *killTree) positions() map[topology.NodeName][]byte {
	k.t.Helper()
	all := map[topology.NodeName][]byte{}
	for _, name := range killNames[1:] {
		b, err := os.ReadFile(k.position(name))
		if err != nil {
			k.t.Fatal(err)
		}
		all[name] = b
	}
	return all
}

// append has an event written into the journal, and waits for so long until it is applied.
func (k *killTree) append(value string, wait time.Duration) (p Progress, err error) {
	origin, _ := k.plan.Node("main")
	q := url.Values{"kind": {"purge"}, "scope": {"url"}, "site": {"www.cdn.test"}, "value": {value}, "wait": {wait.String()}}
	resp, err := http.Get("http://" + origin.HTTP.String() + appendPath + "?" + q.Encode())
	if err != nil {
		return p, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return p, errors.New(resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		return p, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.epoch == "" {
		k.epoch = p.Epoch
	}
	if p.Epoch != k.epoch {
		k.t.Errorf("event %d is of epoch %s, those before of %s", p.Seq, p.Epoch, k.epoch)
	}
	if old, ok := k.acked[p.Seq]; ok || p.Seq <= k.last {
		k.t.Errorf("%s is acknowledged as %d, behind %d, which is %q", value, p.Seq, k.last, old)
	}
	k.acked[p.Seq], k.last = value, p.Seq
	return p, nil
}

// everywhere waits until all nodes have applied what there is.
func (k *killTree) everywhere() {
	k.t.Helper()
	for deadline := time.Now().Add(2 * long); ; {
		p, err := k.append("/last", 10*time.Second)
		missing := 0
		for _, n := range p.Nodes {
			if !n.Applied {
				missing++
			}
		}
		if err == nil && missing == 0 {
			return
		}
		if time.Now().After(deadline) {
			k.t.Fatalf("not all nodes have come back: %+v, %v", p, err)
		}
	}
}

// check reads what a node has applied in all its lives.
func (k *killTree) check(name topology.NodeName, values map[uint64]string) (again int) {
	k.t.Helper()
	f, err := os.Open(filepath.Join(k.dir, string(name)+".applied"))
	if err != nil {
		k.t.Fatal(err)
	}
	defer f.Close()
	var most, last uint64 // in all lives, and in this one
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if lines.Text() == "start" {
			last = 0
			continue
		}
		number, value, _ := strings.Cut(lines.Text(), " ")
		seq, err := strconv.ParseUint(number, 10, 64)
		switch {
		case err != nil:
			k.t.Errorf("%s: %s", name, lines.Text())
			return again
		case last != 0 && seq != last+1, most != 0 && seq > most+1: // it began where the journal was
			k.t.Errorf("%s has applied %d behind %d, and %d in its lives before", name, seq, last, most)
		case values[seq] != "" && values[seq] != value:
			k.t.Errorf("%s has applied %s as %d, which is %s elsewhere", name, value, seq, values[seq])
		case seq <= most:
			again++
		}
		values[seq] = value
		last, most = seq, max(most, seq)
	}
	if most < k.last {
		k.t.Errorf("%s has applied events up to %d, acknowledged are %d", name, most, k.last)
	}
	return again
}

// TestKilledNodes kills nodes of a tree while events come, the origin among them: what was acknowledged is applied everywhere, in one
// order, nothing is passed over, and no node has to make everything stale. CDNLAB_TREE_KILLS says how many rounds of 500 events there are.
func TestKilledNodes(t *testing.T) {
	rounds, perRound := 3, 100
	if testing.Short() {
		rounds = 2
	}
	if v := os.Getenv("CDNLAB_TREE_KILLS"); v != "" {
		var err error
		if rounds, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
		perRound = 500
	}
	defer http.DefaultClient.CloseIdleConnections()
	k := newKillTree(t)
	k.everywhere()
	rng := rand.New(rand.NewPCG(4, 4))
	kills := 0
	for round := range rounds {
		before := k.positions()
		var sent atomic.Int64
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := 0; i < perRound; {
				if _, err := k.append(fmt.Sprintf("/%d/%d", round, i), 0); err == nil {
					i++
					sent.Add(1)
				}
			}
		}()
		for _, victim := range []topology.NodeName{killNames[1+rng.IntN(2)], killNames[3+rng.IntN(3)], "main", killNames[rng.IntN(len(killNames))]} {
			target := sent.Load() + 1 + rng.Int64N(int64(perRound/6))
			await(t, "events", func() bool { return sent.Load() >= min(target, int64(perRound)) })
			k.kill(victim)
			if b := before[victim]; b != nil && rng.IntN(2) == 0 {
				if err := os.WriteFile(k.position(victim), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			k.start(victim)
			kills++
		}
		<-done
		k.everywhere()
	}
	values, again := map[uint64]string{}, 0
	for seq, value := range k.acked {
		values[seq] = value
	}
	for _, name := range killNames[1:] {
		again += k.check(name, values)
	}
	if again == 0 {
		t.Error("no event was applied again: the positions of before were of no use")
	}
	t.Logf("%d events, %d kills, %d applications of events that had been applied before", len(k.acked), kills, again)
}
