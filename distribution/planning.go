package distribution

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"cdnlab/internal/journal"
	"cdnlab/internal/planner"
	"cdnlab/internal/popular"
	"cdnlab/topology"
)

// Bounds of planning.
const (
	planKeys    = 100              // of the objects that a region asks for most
	lookAgain   = 10 * time.Second // after which an object's version is looked at again
	lookTime    = time.Second      // for its head to come: an app may answer late, as one that is polled does
	defaultPace = 32 << 20         // bytes a second across a link without a bandwidth
)

// planning has what is asked for much pushed to the regions that want it. It plans from the reports of the nodes below (package
// planner); a region is a hub with its edges, or an edge without a hub.
type planning struct {
	root    *Root
	planner *planner.Planner
	regions []planner.Region // with what is the same for every plan
	looked  map[planner.Key]look
	seen    map[string]map[planner.Key]seen // by region
	pushed  map[string]time.Time            // when something was pushed to a region last
	began   time.Time
}

// seen is the version that a region came to have by requests, and the last event that it can have seen.
type seen struct {
	version string
	at      journal.Seq
}

// look is what an object was when it was looked at.
type look struct {
	planner.Object
	fit bool // to be pushed
	at  time.Time
}

func newPlanning(r *Root) (*planning, error) {
	p, err := planner.New(planner.Config{})
	if err != nil {
		return nil, err
	}
	t := r.cfg.Topology
	return &planning{root: r, planner: p, regions: regionsOf(t, r.cfg.Node.Group), looked: map[planner.Key]look{},
		seen: map[string]map[planner.Key]seen{}, pushed: map[string]time.Time{}, began: r.cfg.Now()}, nil
}

// regionsOf lists the hubs that have edges and the edges that have none, with the part of the audience that is nearest to each.
func regionsOf(t *topology.Topology, origin string) (list []planner.Region) {
	of := map[string]topology.Ref{} // region by edge
	at := map[string]int{}
	for i := range t.Edges {
		e := &t.Edges[i]
		ref := topology.Ref{Kind: topology.KindEdge, Name: e.Name}
		if e.Parent.Kind == topology.KindHub {
			ref = e.Parent
		}
		of[e.Name] = ref
		if _, ok := at[ref.Name]; ok {
			continue
		}
		at[ref.Name] = len(list)
		pace := int64(defaultPace)
		if r := t.PushRate(ref, topology.Ref{Kind: topology.KindOrigin, Name: origin}); r > 0 {
			pace = r
		}
		list = append(list, planner.Region{Name: ref.Name, Pace: pace, Space: int64(t.Push.Budget)})
	}
	for i := range t.Clients {
		c := &t.Clients[i]
		near := slices.MinFunc(t.Edges, func(a, b topology.Edge) int {
			from := topology.Ref{Kind: topology.KindClient, Name: c.Name}
			x := t.Path(from, topology.Ref{Kind: topology.KindEdge, Name: a.Name}).RTT
			return int(x - t.Path(from, topology.Ref{Kind: topology.KindEdge, Name: b.Name}).RTT)
		})
		list[at[of[near.Name].Name]].Weight += c.Weight
	}
	return list
}

// run plans until ctx ends.
func (p *planning) run(ctx context.Context, every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			p.step(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// step makes a plan and carries it out.
func (p *planning) step(ctx context.Context) {
	now := p.root.cfg.Now()
	wanted := p.root.demand.regions(now)
	objects := p.objects(ctx, wanted, now)
	if len(objects) == 0 {
		return
	}
	plan := p.planner.Plan(objects, p.describe(wanted, objects, now))
	made := map[planner.Key]*Manifest{} // nil for what cannot be pushed
	for _, push := range plan.Push {
		m, ok := made[push.Key]
		if !ok {
			var err error
			if m, err = p.root.prepareWithin(ctx, push.Site, push.Path); err != nil {
				p.log().Debug("an object that is asked for much cannot be pushed", "path", push.Path, "error", err)
			}
			made[push.Key] = m
		}
		if m == nil {
			continue
		}
		p.append(journal.Event{Kind: journal.Push, Site: push.Site, Value: push.Path, Version: m.Version, Size: m.Size, To: push.Region, Who: p.whose(push.Region, push.Key)})
		p.pushed[push.Region] = now
		p.see(push.Region, push.Key, m.Version)
	}
	for _, u := range plan.Unpin {
		if p.whose(u.Region, u.Key) == plans { // what somebody has asked for stays
			p.append(journal.Event{Kind: journal.Push, Site: u.Site, Value: u.Path, To: u.Region, Who: plans})
		}
	}
}

// plans is who asks for what is pushed because it is asked for much.
const plans = "planner"

// whose returns who has asked for what is pushed to a region: plans for what nobody else has.
func (p *planning) whose(region string, key planner.Key) string {
	pin, ok := p.root.memory.find(entry(&journal.Event{Kind: journal.Push, Site: key.Site, Value: key.Path, To: region}))
	if !ok || unpins(pin) {
		return plans
	}
	return pin.Who
}

func (p *planning) log() *slog.Logger { return p.root.cfg.Log }

func (p *planning) append(e journal.Event) {
	if _, err := p.root.Append(e); err != nil {
		p.log().Warn("a push cannot be written into the journal", "error", err)
	}
}

// objects looks at what is asked for most.
func (p *planning) objects(ctx context.Context, wanted map[string]*popular.Sketch, now time.Time) []planner.Object {
	known := map[planner.Key]bool{}
	var list []planner.Object
	for _, region := range p.regions { // in an order of their own
		sketch := wanted[region.Name]
		if sketch == nil {
			continue
		}
		for _, item := range sketch.Top(planKeys, now) {
			site, path, ok := splitKey(item.Key)
			key := planner.Key{Site: site, Path: path}
			if !ok || known[key] {
				continue
			}
			known[key] = true
			if l := p.look(ctx, key, now); l.fit {
				list = append(list, l.Object)
			}
		}
	}
	for key := range p.looked {
		if !known[key] {
			delete(p.looked, key)
		}
	}
	for _, region := range p.seen {
		maps.DeleteFunc(region, func(key planner.Key, s seen) bool {
			return !known[key] || p.root.memory.ended(journal.Event{Seq: s.at, Site: key.Site, Value: key.Path})
		})
	}
	return list
}

// look asks the origin what an object is, once in a while.
func (p *planning) look(ctx context.Context, key planner.Key, now time.Time) look {
	if l, ok := p.looked[key]; ok && now.Sub(l.at) < lookAgain {
		return l
	}
	l := look{Object: planner.Object{Key: key}, at: now}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	if resp, err := p.root.cfg.Get(ctx, key.Site, key.Path); err == nil {
		_ = resp.Body.Close() // its head is enough
		l.Version, l.Size = resp.Header.Get("ETag"), resp.ContentLength
		l.fit = resp.StatusCode == http.StatusOK && l.Version != "" && !strings.HasPrefix(l.Version, "W/") && l.Size > 0
	}
	p.looked[key] = l
	return l
}

// describe tells the planner what each region wants and has.
func (p *planning) describe(wanted map[string]*popular.Sketch, objects []planner.Object, now time.Time) []planner.Region {
	versions := map[planner.Key]string{}
	for _, o := range objects {
		versions[o.Key] = o.Version
	}
	regions := slices.Clone(p.regions)
	at := map[string]int{}
	for i := range regions {
		r := &regions[i]
		at[r.Name] = i
		r.Requests, r.Pinned = map[planner.Key]float64{}, map[planner.Key]string{}
		last, ok := p.pushed[r.Name]
		if !ok {
			last = p.began
		}
		r.Since = now.Sub(last)
		if sketch := wanted[r.Name]; sketch != nil {
			for _, item := range sketch.Top(planKeys, now) {
				if site, path, ok := splitKey(item.Key); ok {
					key := planner.Key{Site: site, Path: path}
					r.Requests[key] = item.Count - item.Error
					p.see(r.Name, key, versions[key])
				}
			}
		}
		r.Cached = map[planner.Key]string{}
		for key, s := range p.seen[r.Name] {
			r.Cached[key] = s.version
		}
	}
	for _, e := range p.root.memory.pinned() {
		if i, ok := at[e.To]; ok {
			regions[i].Pinned[planner.Key{Site: e.Site, Path: e.Value}] = e.Version
		}
	}
	return regions
}

// see notes the version that a region had when it first asked for an object. A later one it may not have.
func (p *planning) see(region string, key planner.Key, version string) {
	if version == "" {
		return
	}
	if p.seen[region] == nil {
		p.seen[region] = map[planner.Key]seen{}
	}
	if _, ok := p.seen[region][key]; !ok {
		p.seen[region][key] = seen{version, p.root.Position().Seq + 1}
	}
}
