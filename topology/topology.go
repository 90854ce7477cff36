package topology

import (
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"
)

// Bytes is a size in bytes.
type Bytes int64

// Bandwidth is a rate in bits per second; 0 is unlimited.
type Bandwidth int64

// NodeName names one server: "paris-1" is the first server of the PoP "paris". Origins have one server and carry its
// name alone ("main"); DNS servers are "dns-1", "dns-2".
type NodeName string

// Kind is the kind of thing a Ref names, and the role of a node.
type Kind uint8

// The kinds, in the order in which a request from outside meets them last to first.
const (
	KindOrigin Kind = iota + 1
	KindHub
	KindEdge
	KindClient
	KindDNS
)

// Ref names an entry of the file: {KindHub, "eu"} is hubs.eu, {KindClient, "tokyo"} is clients.tokyo.
type Ref struct {
	Kind Kind
	Name string
}

// Location is a point on Earth and what is known of it.
type Location struct {
	City      string // as in the gazetteer; empty for bare coordinates
	IATA      string // three capital letters; empty for bare coordinates
	Country   string // ISO 3166-1 alpha-2; empty when not known
	Continent string // AF AN AS EU NA OC SA; empty when not known
	Lat, Lon  float64
}

// Topology is a validated topology file. Slices keep the order of the file, which the address plan counts in.
// It is never changed after Load; share the pointer freely.
type Topology struct {
	Name     string
	File     string // where it was read from; "preset three-continents" for a preset
	Dir      string // what relative paths in it were resolved against
	Zone     string // lower case, without the trailing dot
	Seed     uint64
	Fallback string // name of the client place of addresses that nothing locates; "" never occurs after Load

	DNS     DNS
	Origins []Origin
	Hubs    []Hub
	Edges   []Edge
	Clients []Client
	Links   []Link
	Sites   []Site
	Records []Record

	Push Push

	Limits         []Limit
	TrustedProxies []netip.Prefix

	Admin   netip.Addr // of the admin API; the zero Addr is 127.0.0.1
	Gateway netip.Addr // of the gateway and of every place's resolver; the zero Addr gives each place addresses of its own

	index atomic.Pointer[index] // made by find
}

// Push says what is pushed without being told to.
type Push struct {
	Budget Bytes         // of each region; 0 pushes nothing
	Every  time.Duration // between two plans
}

// DNS configures the authoritative servers.
type DNS struct {
	Servers   int // how many
	TTL       time.Duration
	Addresses []netip.Addr // one per server, instead of the plan's
	Health    Health
}

// Health is how edges are checked: Fall failed checks in a row take an edge out of the answers, Rise good ones bring it back.
type Health struct {
	Off      bool
	Interval time.Duration
	Timeout  time.Duration
	Fall     int
	Rise     int
}

// OriginKind says where an origin has its content from.
type OriginKind uint8

// The kinds of origin.
const (
	Builtin OriginKind = iota // the object store of this project
	App                       // a reverse proxy to the user's own HTTP application
	Dir                       // a directory of files
)

// Origin is one entry of origins.
type Origin struct {
	Name      string
	At        Location
	Kind      OriginKind
	App       *url.URL // Kind App
	Dir       string   // Kind Dir: absolute path
	Addresses []netip.Addr
}

// Hub is a regional tier: one or more servers in one place.
type Hub struct {
	Name      string
	At        Location
	Servers   int
	RAM       Bytes
	Disk      Bytes  // 0 for none
	Eviction  string // name of the policy: "lru"
	Admission Admission
	Parent    Ref            // always an origin
	Addresses [][]netip.Addr // per server
}

// Edge is one PoP.
type Edge struct {
	Name      string
	At        Location
	Servers   int
	RAM       Bytes
	Disk      Bytes  // 0 for none
	Eviction  string // name of the policy: "lru"
	Admission Admission
	Parent    Ref            // a hub or an origin
	Addresses [][]netip.Addr // per server; IPv4 and IPv6
}

// Admission says which of the objects that it fetches a cache takes in.
type Admission struct {
	Rule        string  // "always", "second-hit", "leave-copy-down", "size" or "probability"
	Size        Bytes   // of rule "size": the longest body
	Probability float64 // of rule "probability"
}

// Client is a place in which simulated clients sit.
type Client struct {
	Name     string
	At       Location
	Weight   float64
	Networks []netip.Prefix // how ECS and X-Forwarded-For name its clients; never empty after Load
	// OwnNetworks says that the file gives them; such a place need not be in the address plan.
	OwnNetworks bool
}

// Link overrides what distance gives between two places; a zero field with its Has flag false is not overridden.
type Link struct {
	A, B      Ref
	RTT       time.Duration
	HasRTT    bool
	Bandwidth Bandwidth // each way, shared by all connections of the link; 0 unlimited
	Loss      float64   // 0…1, share of packets lost
}

// Path is what lies between two places once defaults and overrides are applied.
type Path struct {
	RTT       time.Duration
	Bandwidth Bandwidth
	Loss      float64
}

// QueryRule says which part of the query belongs to the cache key.
type QueryRule uint8

// The query rules.
const (
	QueryKeep   QueryRule = iota // as it is
	QuerySort                    // parameters sorted by name
	QueryDrop                    // none of it
	QueryOnly                    // the parameters that SiteCache.QueryNames has, sorted
	QueryExcept                  // all but those, sorted
)

// Site is one host name that the CDN serves.
type Site struct {
	Host     string // lower case, without port
	Origin   string // name of an origin
	Customer string
	// HostHeader is the Host towards the user's app; empty preserves the client's.
	HostHeader string
	// Scheme is what X-Forwarded-Proto says towards the origin: "http" or "https"; empty says what the client used.
	Scheme string
	Cache  SiteCache
	Access []AccessRule // longest prefix wins; builtin origins only
}

// SiteCache is the cache policy of a site.
type SiteCache struct {
	TTL          time.Duration // freshness of a response that states none; 0 leaves it to the heuristic of RFC 9111 §4.2.2
	Query        QueryRule
	QueryNames   []string      // of QueryOnly and QueryExcept; one that ends with * is a prefix
	Headers      []string      // request fields whose values tell responses apart
	Cookies      []string      // cookies of which the same holds
	Compress     bool          // edges encode what clients accept in a content coding
	ShareCookies bool          // what sets a cookie, or answers a request with one, is stored even when it does not say that it may be shared
	Negative     []NegativeTTL // the first one that fits counts
	Collapse     bool          // requests for an object that is being fetched wait for that fetch
	CutOff       time.Duration // how long what is stored is served without word from the tree; validated after that
	StaleIfError time.Duration // how long past its freshness a response may be served while every parent fails; 0 never
}

// NegativeTTL is how long an error is fresh that does not say so itself.
type NegativeTTL struct {
	From, To int // statuses, both included
	TTL      time.Duration
}

// AccessKind says who may read objects below a prefix.
type AccessKind uint8

// The access kinds.
const (
	AccessPublic AccessKind = iota
	AccessToken             // Authorization: Bearer with the lab's token
	AccessSigned            // a signed URL that has not expired
)

// AccessRule guards the objects of a site below a path prefix.
type AccessRule struct {
	Prefix string
	Kind   AccessKind
}

// Record is one extra name in the zone.
type Record struct {
	Name  string // relative to the zone; "@" is the apex
	A     []netip.Addr
	AAAA  []netip.Addr
	CNAME string // the full name, without the trailing dot
	TXT   []string
	MX    []MX
}

// MX is one mail exchange.
type MX struct {
	Preference uint16
	Host       string // the full name, without the trailing dot
}
