package compose

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"cdnlab/topology"
)

var update = flag.Bool("update", false, "write the project's own compose.yaml")

// configOf is what renders a topology file, or a preset by its name.
func configOf(t *testing.T, source string, sets ...string) Config {
	t.Helper()
	cfg := Config{Source: []byte(source), Sets: sets, From: "net.yaml", Dir: ".", Files: "files", Image: "cdnlab"}
	if data, ok := topology.PresetSource(source); ok {
		cfg.Source, cfg.From = data, "preset "+source
	}
	var err error
	if cfg.Topology, err = topology.Parse(cfg.From, cfg.Source, "", sets); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// rendering are rendered files by name, with compose.yaml and the topology read.
type rendering struct {
	files    map[string]string
	services map[string]service
	volumes  map[string]any
	top      *topology.Topology
}

type service struct {
	Image       string
	Build       string
	User        string
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	Profiles    []string
	Command     []string
	Networks    any
	Volumes     []string
	Tmpfs       []string
	Ports       []string
	ExtraHosts  []string `yaml:"extra_hosts"`
	Environment map[string]string
	Healthcheck struct {
		Test     []string
		Interval string
		Timeout  string
		Retries  int
	}
	SecurityOpt []string `yaml:"security_opt"`
}

func render(t *testing.T, cfg Config) rendering {
	t.Helper()
	files, err := Render(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := rendering{files: map[string]string{}}
	for _, f := range files {
		r.files[f.Name] = string(f.Data)
		if !strings.Contains(string(f.Data), Mark) {
			t.Errorf("%s does not say that it was rendered", f.Name)
		}
	}
	var c struct {
		Services map[string]service
		Networks map[string]any
		Volumes  map[string]any
		Node     any `yaml:"x-node"`
		Health   any `yaml:"x-health"`
	}
	if err := yaml.Unmarshal([]byte(r.files["compose.yaml"]), &c); err != nil {
		t.Fatalf("%v\n%s", err, r.files["compose.yaml"])
	}
	if r.top, err = topology.Parse("topology.yaml", []byte(r.files[cfg.Files+"/topology.yaml"]), "", nil); err != nil {
		t.Fatal(err)
	}
	r.services, r.volumes = c.Services, c.Volumes
	return r
}

func TestTheProjectsOwnFilesAreCurrent(t *testing.T) {
	const root = "../.."
	cfg := configOf(t, "three-continents")
	cfg.Dir, cfg.Files, cfg.Build = root, "examples/compose", "."
	files, err := Render(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := filepath.Join(root, f.Name)
		if *update {
			if err := os.WriteFile(name, f.Data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(name); err != nil || string(got) != string(f.Data) {
			t.Errorf("%s is not what is rendered today (%v): go run ./cmd/cdnlab render compose --preset three-continents --build . --files examples/compose", f.Name, err)
		}
	}
}

func TestEveryNodeHasAContainer(t *testing.T) {
	r := render(t, configOf(t, "three-continents"))
	plan, err := r.top.Plan(topology.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[netip.Addr]string{}
	check := func(name, role string, at netip.AddrPort) {
		s, ok := r.services[name]
		if !ok {
			t.Errorf("%s has no container", name)
			return
		}
		if want := fmt.Sprintf("map[cdn:map[ipv4_address:%s]]", at.Addr()); fmt.Sprint(s.Networks) != want {
			t.Errorf("%s is on %v, want %s", name, s.Networks, want)
		}
		if other := seen[at.Addr()]; other != "" || !DefaultSubnet.Contains(at.Addr()) {
			t.Errorf("%s has %s as well as %q, want an address of its own in %s", name, at.Addr(), other, DefaultSubnet)
		}
		seen[at.Addr()] = name
		if want := []string{"CMD", "/cdnlab", "healthcheck", at.String()}; !slices.Equal(s.Healthcheck.Test, want) || s.Healthcheck.Interval == "" {
			t.Errorf("%s is checked by %q every %q, want %q", name, s.Healthcheck.Test, s.Healthcheck.Interval, want)
		}
		if s.Command[0] != "node" || s.Command[1] != role || s.Image != "cdnlab" || !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.SecurityOpt) != 1 {
			t.Errorf("%s is %+v", name, s)
		}
		kept := slices.Contains(s.Volumes, name+":/data")
		if _, volume := r.volumes[name]; volume != kept || kept == (len(s.Tmpfs) == 1) {
			t.Errorf("%s has volumes %q and tmpfs %q, and volume %v, want one of the two for /data", name, s.Volumes, s.Tmpfs, volume)
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s publishes %s, want 127.0.0.1 alone", name, p)
			}
		}
	}
	for _, n := range plan.Nodes {
		check(string(n.Name), n.Kind.String(), n.HTTP)
	}
	check("gateway", "gateway", netip.AddrPortFrom(r.top.Gateway, 3128))
	check("mgmt", "mgmt", netip.AddrPortFrom(r.top.Admin, 7070))
	if got, want := len(r.services), len(seen)+3; got != want {
		t.Errorf("%d services, want %d: the nodes, client, prometheus and grafana", got, want)
	}
	for name, profile := range map[string]string{"client": "client", "prometheus": "monitoring", "grafana": "monitoring"} {
		if got := r.services[name].Profiles; !slices.Equal(got, []string{profile}) {
			t.Errorf("%s has profiles %q, want %s", name, got, profile)
		}
	}
	for _, n := range plan.Nodes {
		if !strings.Contains(r.files["files/prometheus.yml"], `"`+n.HTTP.String()+`"`) {
			t.Errorf("Prometheus does not ask %s", n.Name)
		}
	}
}

func TestWhatIsOnTheHostIsReached(t *testing.T) {
	const file = `
origins: { files: { dir: ./public, at: Paris }, shop: { app: "http://localhost:3000", at: Paris }, far: { app: "https://example.org", at: Paris } }
edges: { paris: {} }
sites: { www.cdn.test: { origin: files }, shop.cdn.test: { origin: shop } }
`
	r := render(t, configOf(t, file))
	if got := r.services["files"].Volumes; !slices.Contains(got, "./public:/srv/files:ro") || r.top.Origins[0].Dir != "/srv/files" {
		t.Errorf("volumes %q for %s, want ./public", got, r.top.Origins[0].Dir)
	}
	if got := r.top.Origins[1].App.String(); got != "http://host.docker.internal:3000" || len(r.services["shop"].ExtraHosts) != 1 {
		t.Errorf("the app is at %s with hosts %q, want the host's", got, r.services["shop"].ExtraHosts)
	}
	if got := r.top.Origins[2].App.String(); got != "https://example.org" {
		t.Errorf("the other app is at %s, want it where it was", got)
	}
}

func TestOptionsChangeWhatIsRendered(t *testing.T) {
	cfg := configOf(t, "tiny", "edges.paris.servers=2")
	cfg.Image, cfg.Build, cfg.Files, cfg.Subnet = "mine:1", "ctx", "other", netip.MustParsePrefix("172.30.0.0/16")
	r := render(t, cfg)
	s := r.services["paris-2"]
	if s.Image != "mine:1" || s.Build != "ctx" || !slices.Contains(s.Volumes, "./other/topology.yaml:/topology.yaml:ro") {
		t.Errorf("paris-2 is %+v", s)
	}
	if got := r.top.Edges[0].Addresses; len(got) != 2 || got[1][0] != netip.MustParseAddr("172.30.16.2") {
		t.Errorf("paris has %v, want 172.30.16.1 and .2", got)
	}
}

func TestRenderRefusesWhatHasNoRoom(t *testing.T) {
	const file = "origins: { main: { at: Paris } }\nedges: { paris: {} }\n"
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"a small network", func(c *Config) { c.Subnet = netip.MustParsePrefix("10.1.2.0/24") }, "/16"},
		{"a network of IPv6", func(c *Config) { c.Subnet = netip.MustParsePrefix("fd00::/16") }, "/16"},
		{"an address for a network", func(c *Config) { c.Subnet = netip.MustParsePrefix("10.1.2.3/16") }, "/16"},
		{"an origin called as a service", func(c *Config) { *c = configOf(t, strings.Replace(file, "main", "client", 1)) }, "rename"},
		{"too many DNS servers", func(c *Config) { *c = configOf(t, file, "dns.servers=254"); c.Topology.DNS.Servers = 255 }, "room for 254"},
		{"too many servers of hubs", func(c *Config) {
			*c = configOf(t, file, "hubs={ a: { at: Paris, servers: 200 }, b: { at: Paris, servers: 55 } }")
		}, "room for 254"},
	} {
		cfg := configOf(t, file)
		c.change(&cfg)
		if _, err := Render(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
}
