package topology

import "fmt"

// file is a topology file as written; see decode.go for the meaning of the tags.
type file struct {
	Version  version                     `key:"version" default:"1" doc:"Version of this format."`
	Name     label                       `key:"name" default:"cdnlab" doc:"Name of this network."`
	Zone     host                        `key:"zone" default:"cdn.test" doc:"DNS zone that the lab's servers answer for."`
	Seed     count                       `key:"seed" default:"1" doc:"Seed of everything that is drawn at random. The same seed gives the same run."`
	Fallback ref                         `key:"fallback" doc:"Client place of addresses that nothing locates. Default: the first of clients."`
	Defaults defaults                    `key:"defaults" doc:"What edges and hubs have that do not say otherwise."`
	DNS      dnsEntry                    `key:"dns" doc:"The authoritative DNS servers."`
	Origins  table[label, originEntry]   `key:"origins" doc:"Where content comes from, by name. At least one."`
	Hubs     table[label, hubEntry]      `key:"hubs" doc:"Regional tiers between edges and origins, by name. None is allowed."`
	Edges    table[label, edgeEntry]     `key:"edges" doc:"PoPs, by name. At least one. One that is named for a city sits there."`
	Clients  table[label, clientEntry]   `key:"clients" doc:"Places that clients are in, by name. Default: one in the city of each edge."`
	Links    list[linkEntry]             `key:"links" doc:"What lies between two entries, where it is not to follow from their distance."`
	Sites    table[host, siteEntry]      `key:"sites" doc:"Host names that are served. Default: www below the zone, from the first origin."`
	Records  table[recordName, recEntry] `key:"records" doc:"Further names in the zone, relative to it; @ is the zone itself."`

	Limits table[label, limitEntry] `key:"limits" doc:"Rate limits that every edge applies before any other work, by name."`
	Push   pushEntry                `key:"push" doc:"Pushing what is asked for much to the regions that want it, before their clients ask."`

	TrustedProxies list[trustedProxy] `key:"trusted_proxies" doc:"Networks of proxies before the edges: the client is the right-most address of X-Forwarded-For that is not one of theirs."`

	Addresses labAddresses `key:"addresses" doc:"Addresses of what a network has one of, instead of 127.0.0.1: for nodes that run in containers or on machines of their own."`

	Scrubbers later `key:"scrubbers" later:"scrubbing comes with a later version"`
	Rules     later `key:"rules" later:"rules come with a later version"`
	Prices    later `key:"prices" later:"billing comes with a later version"`
	Alerts    later `key:"alerts" later:"alerts come with a later version"`
	Routing   later `key:"routing" later:"routing policies come with a later version"`
}

type labAddresses struct {
	Admin   address `key:"admin" doc:"Where the admin API and the dashboard are. The API answers under this address too."`
	Gateway address `key:"gateway" doc:"Where the gateway and the resolvers of all client places are, each with a port of its own. Edges believe its X-Forwarded-For."`
}

type pushEntry struct {
	Budget size     `key:"budget" default:"0" max:"16TiB" doc:"Bytes of pushed objects that each region, a hub with its edges, is to hold at most; 0 pushes nothing but what the push command says."`
	Every  duration `key:"every" default:"5s" min:"1s" max:"1h" doc:"Time between two plans of what to push where."`
}

// later is the type of a reserved key.
type later struct{}

type defaults struct {
	Edges edgeDefaults `key:"edges" doc:"Defaults of edges."`
	Hubs  hubDefaults  `key:"hubs" doc:"Defaults of hubs."`
}

type edgeDefaults struct {
	Servers   count     `key:"servers" default:"1" min:"1" max:"254" doc:"How many servers an edge has."`
	RAM       size      `key:"ram" default:"256MiB" max:"16TiB" doc:"Memory for cached objects in each server of an edge; 0 caches nothing."`
	Disk      size      `key:"disk" default:"0" max:"16TiB" doc:"Room on disk for cached objects in each server of an edge, in the data directory; 0 keeps them in memory alone."`
	Eviction  eviction  `key:"eviction" default:"lru" doc:"Which objects a full cache gives up first. S3-FIFO and W-TinyLFU do not take objects larger than a part of it."`
	Admission admission `key:"admission" default:"always" doc:"Which of the objects that are fetched a cache takes in: always all; second-hit those that were asked for before; leave-copy-down those that the tier above had stored; size 1MiB those up to that length; probability 10% a share, by chance."`
}

type hubDefaults struct {
	Servers   count     `key:"servers" default:"1" min:"1" max:"254" doc:"How many servers a hub has."`
	RAM       size      `key:"ram" default:"512MiB" max:"16TiB" doc:"Memory for cached objects in each server of a hub; 0 caches nothing."`
	Disk      size      `key:"disk" default:"0" max:"16TiB" doc:"Room on disk for cached objects in each server of a hub, in the data directory; 0 keeps them in memory alone."`
	Eviction  eviction  `key:"eviction" default:"lru" doc:"Which objects a full cache gives up first. S3-FIFO and W-TinyLFU do not take objects larger than a part of it."`
	Admission admission `key:"admission" default:"always" doc:"Which of the objects that are fetched a cache takes in: always all; second-hit those that were asked for before; leave-copy-down those that the tier above had stored; size 1MiB those up to that length; probability 10% a share, by chance."`
}

type dnsEntry struct {
	Servers   count         `key:"servers" default:"1" min:"1" max:"254" doc:"How many DNS servers there are; all give the same answers."`
	TTL       duration      `key:"ttl" default:"60s" max:"7d" doc:"How long resolvers may keep an answer. Whole seconds."`
	Addresses list[address] `key:"addresses" doc:"Address of each DNS server, instead of 127.0.0.1, 127.0.0.2 and so on."`
	Health    health        `key:"health" doc:"How edges are checked, or off. An edge that fails leaves the answers."`
	Routing   later         `key:"routing" later:"routing policies come with a later version"`
}

// health is "off" or a map.
type health struct {
	mark
	off   bool
	rules healthRules
}

type healthRules struct {
	Interval duration `key:"interval" default:"500ms" min:"10ms" max:"1h" doc:"Time between two checks of a server."`
	Timeout  duration `key:"timeout" default:"1s" min:"1ms" max:"1m" doc:"Time after which a check has failed."`
	Fall     count    `key:"fall" default:"3" min:"1" max:"100" doc:"Failed checks in a row that take a server out."`
	Rise     count    `key:"rise" default:"2" min:"1" max:"100" doc:"Good checks in a row that bring it back."`
}

func (h *health) decode(d *decoder, n *node, m mark) {
	h.mark = m
	if n != nil && n.kind == scalar {
		if h.off = n.text == "off"; !h.off {
			d.fault(m, "unknown value %q; it is off, or a map such as { interval: 500ms, fall: 3 }", n.text)
		}
		n = nil
	}
	d.value(&h.rules, n, m, "")
}

func (h *health) customSchema() object {
	return object{"oneOf": []object{
		{"type": "string", "enum": []string{"off"}},
		structSchema(&h.rules),
	}}
}

// location is the name or code of a city, or a map with coordinates.
type location struct {
	mark
	v     Location
	known bool
}

type coordinates struct {
	Lat number `key:"lat" need:"yes" min:"-90" max:"90" doc:"Latitude in degrees, north is positive."`
	Lon number `key:"lon" need:"yes" min:"-180" max:"180" doc:"Longitude in degrees, east is positive."`
}

func (l *location) decode(d *decoder, n *node, m mark) {
	l.mark = m
	switch {
	case n == nil:
	case n.kind == mapping:
		var c coordinates
		d.value(&c, n, m, "")
		l.v, l.known = Location{Lat: c.Lat.v, Lon: c.Lon.v}, true
	case n.kind == scalar:
		if l.v, l.known = FindCity(n.text); !l.known {
			d.unread(m, "unknown city %q%s", n.text, d.cityHint(n.text))
		}
	default:
		d.unread(m, "must be %s, not %s", positions, n.kind)
	}
}

const positions = "a city, an IATA code or { lat: 48.86, lon: 2.35 }"

func (c *collector) cityHint(name string) string {
	if c.mayGuess() {
		if city := SuggestCity(name); city != "" {
			return fmt.Sprintf(" (did you mean %q?)", city)
		}
	}
	return "; write a larger one nearby, an IATA code or { lat: 48.86, lon: 2.35 }"
}

func (l *location) customSchema() object { return object{"$ref": "#/definitions/location"} }

// locationSchema offers the names of the cities to editors that complete.
func locationSchema() object {
	names := values(Cities(), func(l Location) string { return l.City })
	return object{"anyOf": []object{
		{"type": "string", "enum": names},
		{"type": "string", "description": "A city in any spelling, or an IATA code."},
		structSchema(&coordinates{}),
	}}
}

type originEntry struct {
	mark
	At        location      `key:"at" doc:"City, its IATA code, or { lat, lon }. Default: the city that the name is of."`
	Store     store         `key:"store" default:"builtin" doc:"The object store of this project; also what an origin is that names neither store, app nor dir."`
	App       appURL        `key:"app" doc:"URL of your own HTTP application, which is fetched from as it is."`
	Dir       word          `key:"dir" doc:"Directory of files, relative to this file."`
	Addresses list[address] `key:"addresses" doc:"Addresses of the origin's machine, instead of the plan's."`
}

type hubEntry struct {
	mark
	At        location            `key:"at" doc:"City, its IATA code, or { lat, lon }. Default: the city that the name is of."`
	Servers   count               `key:"servers" min:"1" max:"254" doc:"How many servers there are. Default: one for each list of addresses, or defaults.hubs.servers."`
	RAM       size                `key:"ram" max:"16TiB" doc:"Memory for cached objects in each server; 0 caches nothing. Default: defaults.hubs.ram."`
	Disk      size                `key:"disk" max:"16TiB" doc:"Room on disk for cached objects in each server; 0 keeps them in memory alone. Default: defaults.hubs.disk."`
	Eviction  eviction            `key:"eviction" doc:"Which objects a full cache gives up first. Default: that of defaults."`
	Admission admission           `key:"admission" doc:"Which of the objects that are fetched a cache takes in. Default: that of defaults."`
	Parent    ref                 `key:"parent" doc:"Origin that it fetches from when a site does not name one. Default: the first."`
	Addresses list[list[address]] `key:"addresses" doc:"For each server the list of its addresses, instead of the plan's."`
}

type edgeEntry struct {
	mark
	At        location            `key:"at" doc:"City, its IATA code, or { lat, lon }. Default: the city that the name is of."`
	Servers   count               `key:"servers" min:"1" max:"254" doc:"How many servers there are. Default: one for each list of addresses, or defaults.edges.servers."`
	RAM       size                `key:"ram" max:"16TiB" doc:"Memory for cached objects in each server; 0 caches nothing. Default: defaults.edges.ram."`
	Disk      size                `key:"disk" max:"16TiB" doc:"Room on disk for cached objects in each server; 0 keeps them in memory alone. Default: defaults.edges.disk."`
	Eviction  eviction            `key:"eviction" doc:"Which objects a full cache gives up first. Default: that of defaults."`
	Admission admission           `key:"admission" doc:"Which of the objects that are fetched a cache takes in. Default: that of defaults."`
	Parent    ref                 `key:"parent" doc:"Hub that it fetches from, or an origin to use no hub. Default: the nearest hub."`
	Addresses list[list[address]] `key:"addresses" doc:"For each server the list of its addresses, IPv4 and IPv6, instead of the plan's."`
}

type clientEntry struct {
	mark
	At       location      `key:"at" doc:"City, its IATA code, or { lat, lon }. Default: the city that the name is of."`
	Weight   number        `key:"weight" default:"1" min:"0" max:"1000000" doc:"Share of the clients that are here, relative to the other places."`
	Networks list[network] `key:"networks" doc:"Networks that the clients' addresses are in. Default: a /24 out of 198.18.0.0/15."`
}

type linkEntry struct {
	mark
	Between   list[ref] `key:"between" need:"yes" items:"2" doc:"Its two ends: names of origins, hubs and edges, clients.NAME, or dns."`
	RTT       duration  `key:"rtt" max:"10s" doc:"Round-trip time."`
	Bandwidth rate      `key:"bandwidth" doc:"Bandwidth each way, shared by all connections. 0 is unlimited, the default."`
	Loss      share     `key:"loss" max:"99%" doc:"Share of packets that are lost. Default: none."`
}

type siteEntry struct {
	mark
	Origin   ref                          `key:"origin" doc:"Origin that its content comes from. May be left out when there is only one."`
	Customer label                        `key:"customer" default:"default" doc:"Customer whose site it is."`
	Host     hostRule                     `key:"host" default:"preserve" doc:"Host header that an app is sent: preserve sends the client's, a name sends that name."`
	Scheme   scheme                       `key:"scheme" doc:"What X-Forwarded-Proto tells the app. Default: what the client used."`
	Cache    cacheEntry                   `key:"cache" doc:"How responses are cached."`
	Access   table[urlPrefix, accessKind] `key:"access" doc:"Who may read what lies below a path; the longest prefix wins. For origins with the builtin store."`
	Limits   later                        `key:"limits" later:"rate limits come with a later version"`
	Rules    later                        `key:"rules" later:"rules come with a later version"`
}

type cacheEntry struct {
	TTL          duration                     `key:"ttl" default:"0" max:"365d" doc:"How long a response is fresh that does not say so itself. 0 leaves it to the heuristic of RFC 9111, section 4.2.2."`
	Query        queryRule                    `key:"query" default:"keep" doc:"What becomes of the query in the cache key: kept as it is, its parameters sorted, or dropped."`
	QueryOnly    list[parameter]              `key:"query_only" doc:"The parameters of the query that belong to the cache key, sorted; the others do not. One that ends with * is a prefix. The origin is sent the whole query all the same."`
	QueryExcept  list[parameter]              `key:"query_except" doc:"The parameters of the query that do not belong to the cache key, such as utm_*; the others do, sorted."`
	Headers      list[keyHeader]              `key:"headers" doc:"Request headers whose values tell responses apart, as if each response said so in Vary."`
	Cookies      list[cookieName]             `key:"cookies" doc:"Cookies whose values tell responses apart."`
	ShareCookies onOff                        `key:"share_cookies" default:"off" doc:"Whether a response that sets a cookie, or answers a request with cookies, is stored although it does not say that it may be shared."`
	Negative     table[errorStatus, duration] `key:"negative" doc:"How long errors are fresh that do not say so themselves, by status (404) or class (5xx). Errors about one request alone, such as 401 and 429, are never stored."`
	Compress     onOff                        `key:"compress" default:"on" doc:"Whether edges send what is stored in gzip, zstd or br to clients that accept it, where its type is one that shrinks."`
	Collapse     onOff                        `key:"collapse" default:"on" doc:"Whether requests for an object that is being fetched wait for that one fetch; off lets each make its own."`
	CutOff       duration                     `key:"cut_off" default:"10s" min:"2s" max:"365d" doc:"For how long a node serves what it has stored without word from the distribution tree, which comes once a second. After that it validates first, as it could have missed a purge."`
	StaleIfError duration                     `key:"stale_if_error" default:"24h" max:"365d" doc:"How long past its freshness a response is served while nothing can be fetched. 0 is never."`
}

type recEntry struct {
	mark
	A     list[address] `key:"a" doc:"IPv4 addresses."`
	AAAA  list[address] `key:"aaaa" doc:"IPv6 addresses."`
	CNAME target        `key:"cname" doc:"The name that this one is an alias of. Without a dot it is below the zone."`
	TXT   list[word]    `key:"txt" doc:"Texts."`
	MX    list[mx]      `key:"mx" doc:"Mail exchanges, each a preference and a host."`
}
