package lab_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cdnlab/internal/compose"
	"cdnlab/internal/lab"
	"cdnlab/mgmt"
	"cdnlab/topology"
)

// composed is a CDN in containers that Docker Compose runs.
type composed struct {
	t       *testing.T
	dir     string
	project string
	tool    []string // docker compose, or docker-compose
	top     *topology.Topology
	plan    *topology.Plan
	state   lab.State
}

// startComposed renders a preset, builds the image and starts it, on published ports and in a network of its own.
func startComposed(t *testing.T, preset string, sets ...string) *composed {
	t.Helper()
	c := &composed{t: t, dir: t.TempDir(), project: fmt.Sprintf("cdnlab-test-%d", os.Getpid()), tool: composeTool(t)}
	source, _ := topology.PresetSource(preset)
	top, err := topology.Preset(preset, sets)
	if err != nil {
		t.Fatal(err)
	}
	files, err := compose.Render(compose.Config{Topology: top, Source: source, Sets: sets, From: "preset " + preset, Dir: c.dir, Files: "files", Image: c.project,
		Subnet: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(100 + os.Getpid()%100), 0, 0}), 16)})
	if err != nil {
		t.Fatal(err)
	}
	ports := freePorts(t, 4)
	for i, published := range []string{"8053", "8054", "3128", "7070"} {
		files[0].Data = bytes.ReplaceAll(files[0].Data, []byte(`"127.0.0.1:`+published+":"), fmt.Appendf(nil, `"127.0.0.1:%d:`, ports[i]))
	}
	for _, f := range files {
		name := filepath.Join(c.dir, f.Name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, f.Data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if c.top, err = topology.Load(filepath.Join(c.dir, "files/topology.yaml"), nil); err != nil {
		t.Fatal(err)
	}
	if c.plan, err = c.top.Plan(topology.PlanOptions{}); err != nil {
		t.Fatal(err)
	}
	local := func(i int) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), ports[i]) }
	c.state = lab.State{DNS: []netip.AddrPort{local(0), local(1)}, Gateway: local(2), Admin: "http://" + local(3).String(), HTTPPort: 8080}

	c.image()
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := c.compose("logs", "--tail=20").CombinedOutput() // what there is of them
			t.Logf("%s", out)
		}
		c.clientsGone()
		if out, err := c.compose("down", "--volumes", "--timeout=1").CombinedOutput(); err != nil {
			if left := c.containers(); left != "" {
				t.Errorf("compose down: %v\n%s\nleft are %s", err, out, left)
			}
			t.Logf("compose down: %v\n%s", err, out) // an engine may keep an endpoint without a container, and the network with it, until it is restarted
		}
		c.docker("rmi", c.project)
	})
	began := time.Now()
	if out, err := c.compose("up", "--detach").CombinedOutput(); err != nil {
		t.Fatalf("compose up: %v\n%s", err, out)
	}
	c.allHealthy()
	t.Logf("%d containers are healthy after %v", len(c.plan.Nodes)+2, time.Since(began).Round(100*time.Millisecond))
	return c
}

// composeTool finds Docker Compose: what DOCKER_COMPOSE names, Docker's plugin, or a command of its own.
func composeTool(t *testing.T) []string {
	t.Helper()
	docker := tool(t, "docker")
	if named := os.Getenv("DOCKER_COMPOSE"); named != "" {
		return []string{tool(t, named)}
	}
	if exec.Command(docker, "compose", "version").Run() == nil {
		return []string{docker, "compose"}
	}
	return []string{tool(t, "docker-compose")}
}

func (c *composed) compose(args ...string) *exec.Cmd {
	cmd := exec.Command(c.tool[0], append(append(c.tool[1:len(c.tool):len(c.tool)], "-p", c.project, "-f", filepath.Join(c.dir, "compose.yaml")), args...)...)
	cmd.Dir = c.dir
	return cmd
}

func (c *composed) docker(args ...string) string {
	c.t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// clientsGone waits until the containers of commands that have ended are removed: the network cannot be before.
func (c *composed) clientsGone() {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if c.containers("--filter", "label=com.docker.compose.oneoff=True") == "" {
			return
		}
	}
}

// containers are those that there are of the project.
func (c *composed) containers(filter ...string) string {
	return c.docker(append([]string{"ps", "-aq", "--filter", "label=com.docker.compose.project=" + c.project}, filter...)...)
}

// image builds the last stage of the Dockerfile from a binary that is built here.
func (c *composed) image() {
	c.t.Helper()
	file, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		c.t.Fatal(err)
	}
	_, last, ok := strings.Cut(string(file), "\nFROM scratch\n")
	if !ok || strings.Count(last, "--from=build ") != 1 {
		c.t.Fatal("the last stage of the Dockerfile is not FROM scratch, with one COPY --from=build")
	}
	context := c.t.TempDir()
	for _, dir := range []string{"out/data", "out/keys"} { // as the first stage makes them
		if err := os.MkdirAll(filepath.Join(context, dir), 0o700); err != nil {
			c.t.Fatal(err)
		}
	}
	last = "FROM scratch\n" + strings.Replace(strings.Replace(last, "--from=build ", "", 1), " /out/ ", " out/ ", 1)
	if err := os.WriteFile(filepath.Join(context, "Dockerfile"), []byte(last), 0o644); err != nil {
		c.t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(context, "out/cdnlab"), "cdnlab/cmd/cdnlab")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		c.t.Fatalf("go build: %v\n%s", err, out)
	}
	c.docker("build", "--quiet", "--tag", c.project, context)
}

// container is the id of a service's container.
func (c *composed) container(service string) string {
	c.t.Helper()
	out, err := c.compose("ps", "--quiet", service).Output()
	if err != nil || len(bytes.Fields(out)) != 1 {
		// docker-compose 1.29 and Compose v2 list stopped containers only with different options
		out = []byte(c.docker("ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project="+c.project, "--filter", "label=com.docker.compose.service="+service))
	}
	return strings.TrimSpace(string(out))
}

func (c *composed) allHealthy() {
	c.t.Helper()
	waitFor(c.t, "the health of all containers", func() error {
		out := c.docker("ps", "--all", "--filter", "label=com.docker.compose.project="+c.project, "--format", "{{.Names}} {{.Status}}")
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if want := len(c.plan.Nodes) + 2; len(lines) != want || strings.Count(out, "(healthy)") != want {
			return fmt.Errorf("want %d healthy:\n%s", want, out)
		}
		return nil
	})
}

func (c *composed) Topology() *topology.Topology { return c.top }
func (c *composed) Plan() *topology.Plan         { return c.plan }
func (c *composed) State() lab.State             { return c.state }

// Stop ends a node as a power cut would.
func (c *composed) Stop(n topology.NodeName) error {
	c.docker("kill", c.container(string(n)))
	return nil
}

func (c *composed) Restart(n topology.NodeName) error {
	c.docker("start", c.container(string(n)))
	return nil
}

func (c *composed) Explain(ctx context.Context, target, from string) (e mgmt.Explanation, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.state.Admin+"/api/v1/explain?"+url.Values{"url": {target}, "from": {from}}.Encode(), nil)
	if err != nil {
		return e, err
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return e, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		return e, fmt.Errorf("explain: %s %s %w", resp.Status, body, err)
	}
	return e, json.Unmarshal(body, &e)
}

// client runs a command of cdnlab in a container beside the others.
func (c *composed) client(args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := c.compose(append([]string{"run", "--rm", "-T", "client"}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("client %s: %w\n%s", strings.Join(args, " "), err, &stderr)
	}
	return stdout.String(), nil
}

func TestTheCDNInContainers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts two dozen containers")
	}
	c := startComposed(t, "three-continents")
	s := newSuite(t, c)
	t.Run("dig", s.digAnswersEachCity)
	t.Run("curl", s.curlIsAClientInTheCity)
	t.Run("first a miss, then a hit", s.firstAMissThenAHit)
	t.Run("one origin request", s.oneOriginRequest)
	t.Run("vegeta", s.vegetaFindsNoErrors)
	t.Run("client", c.commandsInAContainer)
	t.Run("rights", c.nodesHaveNoRights)
	t.Run("without hubs and origin", s.cachedContentOutlivesHubAndOrigin)
	t.Run("a dead edge", s.deadEdgeLeavesAndComesBack)
	t.Run("a network that is cut", func(t *testing.T) { c.cutAndRejoin(t, s) })
	t.Run("objects outlive their container", c.objectsOutlive)
	c.allHealthy()
}

func (c *composed) commandsInAContainer(t *testing.T) {
	for _, run := range []struct {
		args []string
		want string
	}{
		{[]string{"dig", "www.cdn.test", "--from", "tokyo"}, "; tokyo-"},
		{[]string{"curl", "-i", "http://www.cdn.test/hello.txt", "--from", "tokyo"}, "HIT, tokyo-"},
		{[]string{"explain", "http://www.cdn.test/hello.txt", "--from", "sao-paulo"}, "sao-paulo"},
		{[]string{"purge", "--url", "http://www.cdn.test/hello.txt", "--wait"}, "purged at 15 of 15 caches"},
		{[]string{"push", "http://www.cdn.test/hello.txt", "--to", "tokyo"}, "15 of 15 nodes have what is for them"},
		{[]string{"status"}, fmt.Sprintf("%d of %[1]d nodes up", len(c.plan.Nodes))},
		{[]string{"exec", "--from", "tokyo", "--", "/cdnlab", "version"}, "cdnlab"},
	} {
		waitFor(t, strings.Join(run.args, " "), func() error { // a PoP's two servers have a cache each
			out, err := c.client(run.args...)
			if err != nil || !strings.Contains(out, run.want) {
				return fmt.Errorf("gave %q, %w, want %q in it", out, err, run.want)
			}
			return nil
		})
	}
}

// nodesHaveNoRights looks for what an intruder would like.
func (c *composed) nodesHaveNoRights(t *testing.T) {
	for _, service := range []string{"main", "eu-1", "paris-1", "dns-1", "gateway", "mgmt"} {
		got := strings.TrimSpace(c.docker("inspect", "--format", "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{.HostConfig.Privileged}}", c.container(service)))
		if want := "65532:65532 true [ALL] [no-new-privileges:true] false"; got != want {
			t.Errorf("%s runs with %s, want %s", service, got, want)
		}
	}
	for port := range strings.FieldsSeq(c.docker("ps", "--filter", "label=com.docker.compose.project="+c.project, "--format", "{{.Ports}}")) {
		if strings.Contains(port, "->") && !strings.HasPrefix(port, "127.0.0.1:") {
			t.Errorf("%s is published beyond this machine", port)
		}
	}
}

// cutAndRejoin takes a hub off the network, whose edges go to the next one without a failure, and lets it back.
func (c *composed) cutAndRejoin(t *testing.T, s suite) {
	client := s.client(t, s.place)
	cold := func(name string) string {
		t.Helper()
		resp, body := s.get(t, client, "http://"+s.site+"/synthetic/1KiB/cut-"+name)
		if resp.StatusCode != 200 {
			t.Fatalf("%s: %d %q", name, resp.StatusCode, body)
		}
		return resp.Header.Get("Cache-Status")
	}
	if got := cold("before"); !strings.Contains(got, "eu-1;") {
		t.Fatalf("Cache-Status = %q, want eu-1 in it", got)
	}
	hub := c.container("eu-1")
	node, _ := c.plan.Node("eu-1")
	c.docker("network", "disconnect", c.project+"_cdn", hub)
	if got := cold("without"); strings.Contains(got, "eu-1;") || !strings.Contains(got, "-1;") {
		t.Errorf("Cache-Status = %q with eu-1 cut off, want another hub", got)
	}
	c.docker("network", "connect", "--ip", node.HTTP.Addr().String(), c.project+"_cdn", hub)
	tries := 0
	waitFor(t, "eu-1", func() error {
		tries++
		if got := cold(fmt.Sprint("after-", tries)); !strings.Contains(got, "eu-1;") {
			return fmt.Errorf("Cache-Status = %q, want eu-1 in it", got)
		}
		return nil
	})
}

// objectsOutlive uploads an object, makes the origin's container anew and fetches the object.
func (c *composed) objectsOutlive(t *testing.T) {
	content := "kept in a volume"
	if _, err := c.client("put", "/topology.yaml", "/kept.txt"); err == nil {
		t.Error("the client's container has a file that it should not have")
	}
	put := c.compose("run", "--rm", "-T", "client", "put", "-", "/kept.txt")
	put.Stdin = strings.NewReader(content)
	if out, err := put.CombinedOutput(); err != nil {
		t.Fatalf("put: %v\n%s", err, out)
	}
	if out, err := c.compose("up", "--detach", "--force-recreate", "--no-deps", "main").CombinedOutput(); err != nil {
		t.Fatalf("make the origin's container anew: %v\n%s", err, out)
	}
	waitFor(t, "the object", func() error {
		if got, err := c.client("curl", "--fail", "http://www.cdn.test/kept.txt", "--from", "sydney"); err != nil || got != content {
			return fmt.Errorf("got %q, %w, want %q", got, err, content)
		}
		return nil
	})
}
