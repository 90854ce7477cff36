package place

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"

	"github.com/oschwald/geoip2-golang/v2"
	"github.com/oschwald/maxminddb-golang/v2"

	"cdnlab/topology"
)

// geoIP reads a City database. Records are decoded once each, as long as the memo has room for them.
type geoIP struct {
	db   *maxminddb.Reader
	memo [memoSlots]atomic.Pointer[memo]
}

// memoSlots bounds the memo: a database has more records than a lab sees clients, and its start must not wait for all of them.
const memoSlots = 1 << 14

type memo struct {
	offset uintptr
	answer Answer
}

// probed is how many records may lack coordinates before a file is taken for one that has none.
const probed = 10_000

func openGeoIP(file string) (*geoIP, error) {
	db, err := maxminddb.Open(file)
	if err != nil {
		return nil, err
	}
	g := &geoIP{db: db}
	seen := 0
	for res := range db.Networks() {
		var city geoip2.City
		if err := res.Decode(&city); err != nil {
			return nil, fmt.Errorf("it is a %q: a City database is needed: %w", db.Metadata.DatabaseType, err)
		}
		if city.Location.HasCoordinates() {
			return g, nil
		}
		if seen++; seen == probed {
			break
		}
	}
	if seen == 0 {
		return nil, errors.New("it holds no network")
	}
	return nil, fmt.Errorf("it is a %q without coordinates: a City database is needed", db.Metadata.DatabaseType)
}

// lookup returns what the database says of addr, or nil, and the length of the prefix for which that is so. An answer whose
// By is not ByGeoIP stands for a record without coordinates.
func (g *geoIP) lookup(addr netip.Addr) (*Answer, int) {
	res := g.db.Lookup(addr)
	prefix, ok := within(res, addr)
	if !ok || !res.Found() {
		return nil, prefix
	}
	offset := res.Offset()
	slot := &g.memo[offset*0x9e3779b97f4a7c15>>32%memoSlots]
	if m := slot.Load(); m != nil && m.offset == offset {
		return &m.answer, prefix
	}
	m := &memo{offset: offset, answer: decode(res)}
	slot.Store(m)
	return &m.answer, prefix
}

func decode(res maxminddb.Result) Answer {
	var city geoip2.City
	if err := res.Decode(&city); err != nil || !city.Location.HasCoordinates() {
		return Answer{}
	}
	at := topology.Location{
		City:      city.City.Names.English,
		Country:   city.Country.ISOCode,
		Continent: city.Continent.Code,
		Lat:       *city.Location.Latitude,
		Lon:       *city.Location.Longitude,
	}
	where := at.Country
	if at.City != "" {
		where = at.City + ", " + where
	}
	return Answer{Location: at, By: ByGeoIP, Evidence: fmt.Sprintf("the GeoIP database places it at %.2f, %.2f (%s)", at.Lat, at.Lon, where)}
}
