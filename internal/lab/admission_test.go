package lab_test

import (
	"strings"
	"testing"

	"cdnlab/internal/evict"
	"cdnlab/topology"
)

func TestEveryFilterHasANameInTheTopology(t *testing.T) {
	amounts := map[string]string{"size": " 1MiB", "probability": " 10%"}
	for _, name := range evict.AdmissionNames() {
		top, err := topology.Preset("tiny", []string{"defaults.edges.admission=" + name + amounts[name]})
		if err != nil {
			t.Error(err)
			continue
		}
		if got := top.Edges[0].Admission.Rule; got != name {
			t.Errorf("admission: %s%s is rule %q, want %q", name, amounts[name], got, name)
		}
	}
}

// TestTheAdmissionOfANodeIsTheTopologys asks an edge for an object three times, behind a hub.
func TestTheAdmissionOfANodeIsTheTopologys(t *testing.T) {
	for _, tt := range []struct {
		name string
		sets []string
		want string // where each answer comes from: edge, hub or origin
		says string // in Cache-Status of the first
	}{
		{"everything", nil, "origin edge edge", "eu-1;fwd=uri-miss;fwd-status=200;stored, paris-1;fwd=uri-miss;fwd-status=200;stored"},
		{"second hit at the edge", []string{"edges.paris.admission=second-hit"}, "origin hub edge", `paris-1;fwd=uri-miss;fwd-status=200;detail="asked for the first time`},
		{"second hit at the hub", []string{"hubs.eu.admission=second-hit"}, "origin edge edge", `eu-1;fwd=uri-miss;fwd-status=200;detail="asked for the first time`},
		{"second hit at both", []string{"hubs.eu.admission=second-hit", "edges.paris.admission=second-hit"}, "origin origin edge", ""},
		{"leave a copy down", []string{"edges.paris.admission=leave-copy-down"}, "origin hub edge", `paris-1;fwd=uri-miss;fwd-status=200;detail="the tier above had to fetch it`},
		{"leave a copy down from the origin to the hub", []string{"hubs.eu.admission=leave-copy-down"}, "origin edge edge", ""},
		{"leave a copy down, behind second hit", []string{"hubs.eu.admission=second-hit", "edges.paris.admission=leave-copy-down"}, "origin origin hub", ""},
		{"what is too large", []string{"defaults.edges.admission=size 99KiB"}, "origin hub hub", `paris-1;fwd=uri-miss;fwd-status=200;detail="longer than the 101376 bytes`},
		{"what is not", []string{"defaults.edges.admission=size 100KiB"}, "origin edge edge", ""},
		{"never", []string{"defaults.edges.admission=probability 0", "defaults.hubs.admission=probability 0"}, "origin origin origin", `detail="left out by chance`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := startLab(t, "tiny", tt.sets...)
			c := l.direct(t)
			var got []string
			for i := range 3 {
				resp, body := l.get(t, c, "http://"+l.site+"/synthetic/100KiB/1")
				status := strings.Join(resp.Header.Values("Cache-Status"), ", ")
				if i == 0 && !strings.Contains(status, tt.says) {
					t.Errorf("Cache-Status: %s, want %s", status, tt.says)
				}
				switch {
				case len(body) != 100<<10:
					t.Fatalf("request %d brings %d bytes", i+1, len(body))
				case strings.Contains(status, "paris-1;hit"):
					got = append(got, "edge")
				case strings.Contains(status, "eu-1;hit"):
					got = append(got, "hub")
				default:
					got = append(got, "origin")
				}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("the answers come from %s, want %s", got, tt.want)
			}
		})
	}
}
