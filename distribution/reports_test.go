package distribution

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func TestReportsOfNodesThatComeAndGo(t *testing.T) {
	alive := func(turn, seq uint64) report { return report{Node: "a", Turn: turn, At: pos(1, seq)} }
	gone := func(turn, seq uint64) report {
		r := alive(turn, seq)
		r.Gone = true
		return r
	}
	type step struct {
		stream uint64
		report report // without a node: the stream ends
	}
	for _, tt := range []struct {
		name  string
		steps []step
		want  report
	}{
		{"it moves on", []step{{1, alive(1, 5)}, {1, alive(2, 6)}}, alive(2, 6)},
		{"its stream ends", []step{{1, alive(1, 5)}, {1, report{}}}, gone(1, 5)},
		{"another stream ends", []step{{1, alive(1, 5)}, {2, report{}}}, alive(1, 5)},
		{"gone, and back by another way", []step{{1, alive(1, 5)}, {1, report{}}, {2, alive(2, 5)}}, alive(2, 5)},
		{"back by another way before it is gone", []step{{1, alive(1, 5)}, {2, alive(2, 5)}, {1, gone(1, 5)}, {1, report{}}}, alive(2, 5)},
		{"the old way is slower", []step{{2, alive(3, 6)}, {1, alive(2, 5)}, {1, gone(2, 5)}, {1, report{}}}, alive(3, 6)},
		{"told again on a new stream of its parent's", []step{{1, alive(1, 5)}, {1, report{}}, {2, alive(1, 5)}}, alive(1, 5)},
		{"told again before the old stream of its parent's ends", []step{{1, alive(1, 5)}, {2, alive(1, 5)}, {1, report{}}}, alive(1, 5)},
		{"set up anew, with its clock set back", []step{{1, alive(9, 5)}, {1, report{}}, {2, alive(1, 1)}}, alive(1, 1)},
	} {
		tab, now := newReports(), time.Unix(1000, 0)
		for _, s := range tt.steps {
			if s.report.Node == "" {
				tab.end(s.stream, now)
			} else {
				tab.set(s.report, s.stream, now)
			}
		}
		if got, _ := tab.get("a"); got.report != tt.want || got.gone.IsZero() == got.Gone {
			t.Errorf("%s: %+v, gone since %v, want %+v", tt.name, got.report, got.gone, tt.want)
		}
	}
}

// TestReportsInAnyOrder has a node go from parent to parent. What each says comes in its order, but all at their own pace: in the end
// the table has the truth.
func TestReportsInAnyOrder(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 2))
		const parents = 3
		var sent [parents][]report // by each, in its order
		var last report
		seq, at := uint64(1), -1
		for turn := range uint64(2 + rng.IntN(6)) {
			if p := rng.IntN(parents); p != at && at >= 0 {
				if rng.IntN(4) > 0 { // else it is the stream of the parent that ends
					end := last
					end.Gone = true
					sent[at] = append(sent[at], end)
				}
				at = p
			} else {
				at = p
			}
			seq += rng.Uint64N(3)
			last = report{Node: "a", Via: fmt.Sprint("hub-", at), Turn: turn + 1, At: pos(1, seq)}
			sent[at] = append(sent[at], last)
		}
		tab, now := newReports(), time.Unix(1000, 0)
		var heard [parents]int
		for heardAll := false; !heardAll; {
			p := rng.IntN(parents)
			switch {
			case heard[p] < len(sent[p]):
				tab.set(sent[p][heard[p]], uint64(p), now)
			case heard[p] == len(sent[p]) && p != at:
				tab.end(uint64(p), now)
			}
			heard[p]++
			heardAll = true
			for p := range sent {
				heardAll = heardAll && heard[p] > len(sent[p])
			}
		}
		if got, _ := tab.get("a"); got.report != last {
			t.Fatalf("seed %d: the table has %+v, want %+v", seed, got.report, last)
		}
	}
}

func TestReportsSince(t *testing.T) {
	tab, now := newReports(), time.Unix(1000, 0)
	for i, node := range []string{"c", "a", "b"} {
		tab.set(report{Node: node, Turn: uint64(i + 1)}, uint64(i), now)
	}
	names := func(list []report) (s string) {
		for i := range list {
			s += list[i].Node
		}
		return s
	}
	all, version := tab.since(0)
	if names(all) != "abc" {
		t.Errorf("since the beginning: %v, want a, b and c", all)
	}
	changed := tab.changed.wait()
	tab.set(report{Node: "b", Turn: 9}, 1, now)
	select {
	case <-changed:
	default:
		t.Error("nobody is woken by a report")
	}
	if list, _ := tab.since(version); names(list) != "b" {
		t.Errorf("since then: %v, want b", list)
	}
}
