package compose

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"cdnlab/topology"
)

// Config says what to render.
type Config struct {
	Topology *topology.Topology // what Source means with Sets
	Source   []byte
	Sets     []string
	From     string       // where Source is from, for people: "the preset tiny", "net.yaml"
	Dir      string       // where compose.yaml will be; paths on the host become relative to it
	Files    string       // directory of the other files, relative to Dir
	Image    string       // name of the image
	Build    string       // context to build the image from, relative to Dir; "" when it is there already
	Subnet   netip.Prefix // of the containers, a /16; the zero Prefix is DefaultSubnet
}

// DefaultSubnet is the network of containers unless told otherwise.
var DefaultSubnet = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, 0, 0}), 16)

// File is a file to write.
type File struct {
	Name string // slash-separated, relative to Config.Dir
	Data []byte
}

// Mark stands in every rendered file. A file without it is somebody's own.
const Mark = "Rendered by cdnlab render compose"

//go:embed *.tmpl files
var embedded embed.FS

// reserved are names of services and volumes that no node can have.
var reserved = []string{"gateway", "mgmt", "client", "prometheus", "grafana", "keys"}

// Render returns the files, compose.yaml first.
func Render(cfg Config) ([]File, error) {
	s := subnet{cfg.Subnet}
	if !s.IsValid() {
		s.Prefix = DefaultSubnet
	}
	if !s.Addr().Is4() || s.Bits() != 16 || s.Masked() != s.Prefix {
		return nil, fmt.Errorf("the containers' network is %s: want an IPv4 network with a /16, such as %s", s, DefaultSubnet)
	}
	sets, err := s.addresses(cfg.Topology)
	if err != nil {
		return nil, err
	}
	mounts := map[string]string{}
	local := false // an origin is an app on the host
	for _, o := range cfg.Topology.Origins {
		if slices.Contains(reserved, o.Name) {
			return nil, fmt.Errorf("origin %q: the containers have a service of that name; rename the origin", o.Name)
		}
		switch {
		case o.Dir != "":
			mounts[o.Name] = cfg.onHost(o.Dir)
			sets = append(sets, fmt.Sprintf("origins.%s.dir=%s", o.Name, dirOf(o.Name)))
		case o.App != nil:
			if app, ok := fromContainer(o.App); ok {
				local = true
				sets = append(sets, fmt.Sprintf("origins.%s.app=%s", o.Name, app))
			}
		}
	}
	file, err := topology.Rewrite(cfg.From, cfg.Source, append(slices.Clone(cfg.Sets), sets...))
	if err != nil {
		return nil, err
	}
	top, err := topology.Parse(cfg.From, file, "", nil)
	if err != nil {
		return nil, err
	}
	plan, err := top.Plan(topology.PlanOptions{})
	if err != nil {
		return nil, err
	}
	v := &view{Config: cfg, Subnet: s, Top: top, Plan: plan, Mounts: mounts, HostApps: local}
	return v.files(file)
}

// hostName is how containers call the machine that runs them.
const hostName = "host.docker.internal"

// fromContainer is the URL at which a container finds an app of the host; ok is false for an app that is elsewhere.
func fromContainer(app *url.URL) (_ *url.URL, ok bool) {
	host := app.Hostname()
	if addr, err := netip.ParseAddr(host); !strings.EqualFold(host, "localhost") && (err != nil || !addr.IsLoopback()) {
		return nil, false
	}
	moved := *app
	moved.Host = hostName
	if port := app.Port(); port != "" {
		moved.Host = net.JoinHostPort(hostName, port)
	}
	return &moved, true
}

// dirOf is where an origin's container finds its directory.
func dirOf(origin string) string { return "/srv/" + origin }

// onHost is a path as compose.yaml writes it.
func (c Config) onHost(dir string) string {
	from, err1 := filepath.Abs(c.Dir)
	to, err2 := filepath.Abs(dir)
	rel, err3 := filepath.Rel(from, to)
	if errors.Join(err1, err2, err3) != nil {
		return dir
	}
	return "./" + filepath.ToSlash(rel)
}

// view is what the templates see.
type view struct {
	Config
	Subnet   subnet
	Top      *topology.Topology
	Plan     *topology.Plan
	Mounts   map[string]string // directory on the host of each origin that serves one
	HostApps bool
}

func (v *view) Admin() netip.AddrPort { return netip.AddrPortFrom(v.Subnet.admin(), adminPort) }
func (v *view) Gateway() netip.AddrPort {
	return netip.AddrPortFrom(v.Subnet.gateway(), topology.DefaultGatewayPort)
}
func (v *view) Dynamic() netip.Prefix { return v.Subnet.dynamic() }
func (v *view) Mark() string          { return Mark }
func (v *view) DNSPort() int          { return topology.DefaultDNSPort }
func (v *view) Site() string          { return v.Top.Sites[0].Host }
func (v *view) City() string          { return v.Top.Fallback }

// Stores are the nodes that keep something: objects or caches.
func (v *view) Stores() []topology.Node {
	return slices.DeleteFunc(slices.Clone(v.Plan.Nodes), func(n topology.Node) bool { return n.Kind == topology.KindDNS })
}

const adminPort = 7070

// Service is a container of the lab's image.
type Service struct {
	Name, Role string
	Args       []string
	Addr       netip.Addr
	Check      netip.AddrPort
	Volumes    []string
	Ports      []string
	Scratch    bool // keeps nothing
	HostApps   bool
}

// Services lists the containers in the order of the topology, then those that the lab has one of.
func (v *view) Services() []Service {
	var all []Service
	dns := 0
	for _, n := range v.Plan.Nodes {
		s := Service{Name: string(n.Name), Role: n.Kind.String(), Args: []string{n.Kind.String(), string(n.Name)}, Addr: n.HTTP.Addr(), Check: n.HTTP}
		switch {
		case n.Kind == topology.KindDNS:
			published := fmt.Sprintf("127.0.0.1:%d:%d", int(n.DNS.Port())+dns, n.DNS.Port())
			s.Ports, s.Scratch = []string{published + "/udp", published + "/tcp"}, true
			dns++
		default:
			s.Volumes = []string{string(n.Name) + ":/data"}
			if dir, ok := v.Mounts[n.Group]; ok && n.Kind == topology.KindOrigin {
				s.Volumes = append(s.Volumes, dir+":"+dirOf(n.Group)+":ro")
			}
			s.HostApps = v.HostApps && n.Kind == topology.KindOrigin
		}
		all = append(all, s)
	}
	gateway, admin := v.Gateway(), v.Admin()
	return append(all,
		Service{Name: "gateway", Role: "gateway", Args: []string{"gateway"}, Addr: gateway.Addr(), Check: gateway, Scratch: true,
			Ports: []string{fmt.Sprintf("127.0.0.1:%d:%[1]d", gateway.Port())}},
		Service{Name: "mgmt", Role: "mgmt", Args: []string{"mgmt"}, Addr: admin.Addr(), Check: admin, Volumes: []string{"mgmt:/data"},
			Ports: []string{fmt.Sprintf("127.0.0.1:%d:%[1]d", admin.Port())}})
}

func (v *view) files(file []byte) ([]File, error) {
	head := fmt.Sprintf("# %s from %s: the network at the addresses of its containers. Render it anew instead of editing it.\n\n", Mark, v.From)
	var out []File
	templates := template.Must(template.New("").Funcs(template.FuncMap{"quote": quote}).ParseFS(embedded, "*.tmpl"))
	for _, t := range []struct{ name, as string }{{"compose.yaml", "compose.yaml"}, {"prometheus.yml", v.in("prometheus.yml")}} {
		var data bytes.Buffer
		if err := templates.ExecuteTemplate(&data, t.name+".tmpl", v); err != nil {
			return nil, fmt.Errorf("render %s: %w", t.as, err)
		}
		out = append(out, File{t.as, data.Bytes()})
	}
	out = append(out, File{v.in("topology.yaml"), append([]byte(head), file...)})
	err := fs.WalkDir(embedded, "files", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := embedded.ReadFile(name)
		out = append(out, File{v.in(strings.TrimPrefix(name, "files/")), data})
		return err
	})
	return out, err
}

// in is the name of one of the other files.
func (v *view) in(name string) string { return path.Join(v.Files, name) }

// Path is one of the other files as compose.yaml names it: with a dot in front, as a name alone would be a volume's.
func (v *view) Path(name string) string { return "./" + v.in(name) }

// quote is a text as a YAML scalar in double quotes.
func quote(s string) string { return strconv.Quote(s) }
