package mgmt

import (
	"reflect"
	"testing"
)

// TestPurgedInSeveralJournals puts together what two origins say: one that has not heard of a node for long knows less than one that
// waits for it still.
func TestPurgedInSeveralJournals(t *testing.T) {
	var p Purged
	p.together([]Progress{
		{Origin: "main", Epoch: "a", Seq: 7, Staleness: 3, Nodes: []AppliedNode{
			{Node: "both", Applied: true, After: 3}, {Node: "one", Applied: true, After: 2}, {Node: "left", Heard: 1.2}, {Node: "slow", Heard: 0.1, Pending: true}, {Node: "mixed", Heard: 9}}},
		{Origin: "other", Epoch: "b", Seq: 9, Staleness: 5, Nodes: []AppliedNode{
			{Node: "both", Applied: true, After: 5}, {Node: "one", Heard: 0.5, Pending: true}, {Node: "left"}, {Node: "slow", Applied: true}, {Node: "mixed", Heard: 0.2, Pending: true}}},
	})
	if want := []string{"one", "slow", "mixed"}; !reflect.DeepEqual(p.Pending, want) {
		t.Errorf("pending %v, want %v", p.Pending, want)
	}
	if want := []string{"left"}; !reflect.DeepEqual(p.Unreachable, want) {
		t.Errorf("unreachable %v, want %v: it has left, though a moment ago", p.Unreachable, want)
	}
	if both := p.Nodes[0]; !both.Applied || both.After != 5 || p.Staleness != 5 {
		t.Errorf("%+v, staleness %v, want it applied after 5 ms", both, p.Staleness)
	}
}
