package topology

import (
	"strings"
	"testing"
	"time"
)

func TestThreeContinents(t *testing.T) {
	top, err := Preset("three-continents", nil)
	if err != nil {
		t.Fatal(err)
	}
	double := 0
	for _, e := range top.Edges {
		if e.Servers == 2 {
			double++
		}
	}
	continents := make(map[string]bool)
	for _, c := range top.Clients {
		continents[c.At.Continent] = true
	}
	if len(top.Origins) != 1 || len(top.Hubs) != 3 || len(top.Edges) != 9 || double < 3 || len(top.Clients) < 12 || len(continents) < 5 || top.DNS.Servers != 2 {
		t.Errorf("%d origins, %d hubs, %d PoPs of which %d have two servers, %d client cities on %d continents, %d DNS servers",
			len(top.Origins), len(top.Hubs), len(top.Edges), double, len(top.Clients), len(continents), top.DNS.Servers)
	}
	if s, ok := top.Site("www.cdn.test"); !ok || s.Origin != top.Origins[0].Name {
		t.Errorf("site www.cdn.test: %+v", s)
	}
	if h := top.DNS.Health; time.Duration(h.Fall)*(h.Interval+h.Timeout) > 5*time.Second {
		t.Errorf("a dead edge stays in the answers for longer than 5 s: %+v", h)
	}
}

func TestThreeContinentsHasOneNearestPoPForEachCity(t *testing.T) {
	top, err := Preset("three-continents", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"frankfurt": "frankfurt", "london": "london", "paris": "paris", "madrid": "paris", "istanbul": "frankfurt",
		"new-york": "new-york", "chicago": "new-york", "los-angeles": "los-angeles", "mexico-city": "los-angeles",
		"sao-paulo": "sao-paulo", "lagos": "paris", "johannesburg": "sao-paulo", "mumbai": "singapore", "tokyo": "tokyo", "sydney": "sydney",
	}
	for _, c := range top.Clients {
		var nearest string
		best, second := time.Hour, time.Hour
		for _, e := range top.Edges {
			switch rtt := top.Path(client(c.Name), edge(e.Name)).RTT; {
			case rtt < best:
				nearest, best, second = e.Name, rtt, best
			case rtt < second:
				second = rtt
			}
		}
		if nearest != want[c.Name] || second-best < time.Millisecond {
			t.Errorf("%s: nearest is %s with %v before %v, want %s", c.Name, nearest, best, second, want[c.Name])
		}
	}
}

func TestPresetsAreFilesToStartFrom(t *testing.T) {
	for _, name := range Presets() {
		data, ok := PresetSource(name)
		if !ok {
			t.Fatalf("no source of %s", name)
		}
		top, err := Preset(name, []string{"seed=7"})
		if err != nil {
			t.Fatal(err)
		}
		if top.Name != name || top.Seed != 7 || top.File != "preset "+name {
			t.Errorf("%s is %q of %q with seed %d", name, top.Name, top.File, top.Seed)
		}
		for i, line := range strings.Split(string(data), "\n") {
			if len(line) > 125 || strings.Contains(line, "\t") || strings.TrimRight(line, " ") != line {
				t.Errorf("%s line %d is long, or has tabs or spaces at its end", name, i+1)
			}
		}
		if _, err := top.Plan(PlanOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, ok := PresetSource("../presets/tiny"); ok {
		t.Error("a path was taken for a preset")
	}
	if _, err := Preset("huge", nil); err == nil || err.Error() != `unknown preset "huge"; there is three-continents or tiny` {
		t.Errorf("unknown preset: %v", err)
	}
}

func TestTinyHasOneOfEach(t *testing.T) {
	top, err := Preset("tiny", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(top.Origins) != 1 || len(top.Hubs) != 1 || len(top.Edges) != 1 || len(top.Clients) != 1 || len(top.Sites) != 1 {
		t.Errorf("%+v", top)
	}
}
