package mgmt

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
)

// history is how many seconds are kept.
const history = 3600

// point is one second of a node or a tier. NaN is where there was nothing to measure.
type point struct {
	at                                                                   int64
	rps, bps, hit, byteHit, p50, p90, p99, errors, fill, objects, origin float32
	status2xx, status3xx, status4xx, status5xx                           float32
}

func pointOf(at int64, r Rates) point {
	return point{at: at, rps: float32(r.Requests), bps: float32(r.Bytes), hit: orNaN(r.Hit), byteHit: orNaN(r.ByteHit), p50: orNaN(r.P50), p90: orNaN(r.P90),
		p99: orNaN(r.P99), errors: float32(r.Errors), fill: orNaN(r.Fill), objects: float32(r.Objects), origin: float32(r.Origin),
		status2xx: float32(r.Status["2xx"]), status3xx: float32(r.Status["3xx"]), status4xx: float32(r.Status["4xx"]), status5xx: float32(r.Status["5xx"])}
}

func orNaN(v *float64) float32 {
	if v == nil {
		return float32(math.NaN())
	}
	return float32(*v)
}

// ring keeps the last points.
type ring struct {
	points []point
	next   int // the oldest, once it is full
}

func (r *ring) add(p point) {
	if len(r.points) < history {
		r.points = append(r.points, p)
		return
	}
	r.points[r.next] = p
	r.next = (r.next + 1) % history
}

// last returns the last n points, the oldest first.
func (r *ring) last(n int) []point {
	all := append(slices.Clone(r.points[r.next:]), r.points[:r.next]...)
	return all[max(0, len(all)-n):]
}

// rings are the history by role and by node.
type rings struct {
	mu sync.Mutex // guards of
	of map[string]*ring
}

func (s *rings) add(t Tick) {
	s.mu.Lock()
	defer s.mu.Unlock()
	put := func(name string, r Rates) {
		one := s.of[name]
		if one == nil {
			one = &ring{}
			s.of[name] = one
		}
		one.add(pointOf(t.At, r))
	}
	for _, x := range t.Tiers {
		put(x.Role, x.Rates)
	}
	for _, n := range t.Nodes {
		put(n.Name, n.Rates)
	}
}

func (s *rings) last(name string, n int) ([]point, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.of[name]
	if !ok {
		return nil, false
	}
	return one.last(n), true
}

// column is one figure over time; NaN is null.
type column []float32

// MarshalJSON implements json.Marshaler.
func (c column) MarshalJSON() ([]byte, error) {
	b := []byte{'['}
	for i, v := range c {
		if i > 0 {
			b = append(b, ',')
		}
		if v != v {
			b = append(b, "null"...)
		} else {
			b = strconv.AppendFloat(b, float64(v), 'g', -1, 32)
		}
	}
	return append(b, ']'), nil
}

// Series is the answer of GET /api/v1/series: lists of the same length, one value for each second.
type Series struct {
	At      []int64           `json:"at"` // seconds since 1970
	RPS     column            `json:"rps"`
	BPS     column            `json:"bps"`
	Hit     column            `json:"hit"`
	ByteHit column            `json:"byte_hit"`
	P50     column            `json:"p50"`
	P90     column            `json:"p90"`
	P99     column            `json:"p99"`
	Errors  column            `json:"errors"`
	Fill    column            `json:"fill"`
	Objects column            `json:"objects"`
	Origin  column            `json:"origin"`
	Status  map[string]column `json:"status"`
}

func newSeries(points []point) Series {
	s := Series{At: []int64{}}
	for _, p := range points {
		s.At = append(s.At, p.at)
	}
	pick := func(of func(*point) float32) (c column) {
		for i := range points {
			c = append(c, of(&points[i]))
		}
		return c
	}
	s.RPS, s.BPS = pick(func(p *point) float32 { return p.rps }), pick(func(p *point) float32 { return p.bps })
	s.Hit, s.ByteHit = pick(func(p *point) float32 { return p.hit }), pick(func(p *point) float32 { return p.byteHit })
	s.P50, s.P90 = pick(func(p *point) float32 { return p.p50 }), pick(func(p *point) float32 { return p.p90 })
	s.P99, s.Errors = pick(func(p *point) float32 { return p.p99 }), pick(func(p *point) float32 { return p.errors })
	s.Fill, s.Objects = pick(func(p *point) float32 { return p.fill }), pick(func(p *point) float32 { return p.objects })
	s.Origin = pick(func(p *point) float32 { return p.origin })
	s.Status = map[string]column{
		"2xx": pick(func(p *point) float32 { return p.status2xx }), "3xx": pick(func(p *point) float32 { return p.status3xx }),
		"4xx": pick(func(p *point) float32 { return p.status4xx }), "5xx": pick(func(p *point) float32 { return p.status5xx }),
	}
	return s
}

func (s *Server) getSeries(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	window := 300
	if text := query.Get("window"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > history {
			writeError(w, http.StatusBadRequest, "window: want a number of seconds from 1 to %d, got %q", history, text)
			return
		}
		window = n
	}
	of := query.Get("of")
	points, ok := s.live.rings.last(of, window)
	if !ok && !s.known(of) {
		writeError(w, http.StatusNotFound, "of: want edge, hub, origin, dns or the name of a node, got %q", of)
		return
	}
	writeJSON(w, http.StatusOK, newSeries(points))
}

// known reports whether a name is that of a role or a node, though nothing has been seen of it yet.
func (s *Server) known(name string) bool {
	for _, n := range s.cfg.Plan.Nodes {
		if n.Kind.String() == name || string(n.Name) == name {
			return true
		}
	}
	return false
}
