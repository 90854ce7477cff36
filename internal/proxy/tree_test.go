package proxy

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cdnlab/internal/journal"
)

// feed is a Feed that only tests move.
type feed struct {
	mu      sync.Mutex // guards the fields below
	at      journal.Position
	doubted bool
}

func (f *feed) set(at journal.Position, doubted bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.doubted = at, doubted
}

func (f *feed) Claimed() journal.Position {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at
}

func (f *feed) Applied() journal.Position { return f.Claimed() }
func (f *feed) Base() journal.Position    { return f.Claimed() }

func (f *feed) Admit(claimed, from journal.Position, _ bool) bool {
	return claimed.Epoch == 0 || from.Epoch == claimed.Epoch && from.Seq >= claimed.Seq
}

func (f *feed) Doubtful(time.Time, time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.doubted
}

// positioned answers with the position of a parent, "" for none.
func positioned(at string, fields ...string) script {
	return func(c *call) bool {
		if at != "" {
			fields = append([]string{"Cdnlab-Position: " + at + "\r\n"}, fields...)
		}
		return c.write(reply("200 OK", dated+"Cache-Control: max-age=600\r\nETag: \"v1\"\r\n"+strings.Join(fields, ""), fmt.Sprint("answer ", c.number)))
	}
}

const asNode = "Cdnlab-Secret: " + secret

func TestWhatAParentSaysThatIsBehindIsNotStored(t *testing.T) {
	for _, tt := range []struct {
		name, at string
		stored   bool
	}{
		{"a parent as far as the node", "1-5", true},
		{"one that is further", "1-6", true},
		{"one that is behind", "1-4", false},
		{"one of another epoch", "2-9", false},
		{"one that does not say", "", false},
		{"one that says nonsense", "5", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := start(t, setup{feed: &feed{at: journal.Position{Epoch: 1, Seq: 5}}}, positioned(tt.at))
			first := f.get("/a", asNode)
			second := f.get("/a", asNode)
			if hit := second.body == "answer 1"; first.body != "answer 1" || hit != tt.stored {
				t.Errorf("answered %q and then %q, want the first one stored: %v", first.body, second.body, tt.stored)
			}
			if !tt.stored && !strings.Contains(first.cacheStatus(), behindDetail) {
				t.Errorf("Cache-Status %q does not say why it is not stored", first.cacheStatus())
			}
			// Who asked must not take the parent's answer for one of this node.
			told := "1-5"
			if !tt.stored {
				if told = tt.at; tt.at == "" || tt.at == "5" {
					told = "0-0" // none that is known
				}
			}
			if got := first.header.Get(positionHeader); got != told {
				t.Errorf("the answer passed on says position %q, want %q", got, told)
			}
		})
	}
}

func TestAnotherParentIsAskedWhenOneIsBehind(t *testing.T) {
	f := start(t, setup{feed: &feed{at: journal.Position{Epoch: 1, Seq: 5}}}, positioned("1-4"), positioned("1-5", "X-From: second\r\n"))
	if got := f.get("/a", asNode); got.header.Get("X-From") != "second" || got.header.Get(positionHeader) != "1-5" {
		t.Errorf("answered %v, want what the second parent says", got.header)
	}
	for i := range 200 { // whatever the budget of tries
		if got := f.get(fmt.Sprint("/b", i)); got.header.Get("X-From") != "second" {
			t.Fatalf("request %d is answered %v, want what the second parent says", i, got.header)
		}
	}
	if got := f.get("/a"); !strings.HasPrefix(got.header.Get("X-Cache"), "HIT") || got.header.Get(positionHeader) != "" {
		t.Errorf("then a client is answered %v, want a hit that says no position", got.header)
	}
}

func TestANodeInDoubtValidates(t *testing.T) {
	tree := &feed{at: journal.Position{Epoch: 1, Seq: 5}}
	f := start(t, setup{feed: tree}, func(c *call) bool {
		if c.field("If-None-Match") == `"v1"` {
			return c.write("HTTP/1.1 304 Not Modified\r\nCdnlab-Position: 1-5\r\nCache-Control: max-age=600\r\nETag: \"v1\"\r\n\r\n")
		}
		return positioned("1-5")(c)
	})
	f.get("/a")
	for i, doubted := range []bool{true, true, false} {
		tree.set(tree.Claimed(), doubted)
		before := f.origin().count()
		got := f.get("/a")
		if asked := f.origin().count() > before; asked != doubted || got.body != "answer 1" {
			t.Errorf("request %d, in doubt %v: the parent was asked %v, answered %q", i, doubted, asked, got.body)
		}
	}
}

func TestWhatIsOutdatedIsValidatedFirst(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		return c.write(reply("200 OK", dated+"Cache-Control: max-age=600, stale-while-revalidate=600\r\n", fmt.Sprint("answer ", c.number)))
	})
	f.get("/a")
	f.pass(time.Second)
	f.proxy.Outdated("other")
	if got := f.get("/a"); got.body != "answer 1" {
		t.Errorf("the end of another origin's journal makes it %q", got.body)
	}
	f.proxy.Outdated("main")
	f.pass(time.Second)
	if got := f.get("/a"); got.body != "answer 2" {
		t.Errorf("what is outdated is served: %q", got.body)
	}
}

// TestWhatWasPurgedSoftlyDoesNotComeBackFromAnEdge asks as an edge does: to that, the fields of what was purged would say fresh.
func TestWhatWasPurgedSoftlyDoesNotComeBackFromAnEdge(t *testing.T) {
	var down atomic.Bool
	f := start(t, setup{feed: &feed{at: journal.Position{Epoch: 1, Seq: 5}}, cache: "stale_if_error: 1h"}, func(c *call) bool {
		if down.Load() {
			return c.write(reply("503 Service Unavailable", "Cdnlab-Position: 1-5\r\n", ""))
		}
		return positioned("1-5", "Cache-Control: stale-while-revalidate=600\r\n")(c)
	})
	f.get("/a")
	f.purge(journal.Event{Scope: journal.ScopeURL, Site: "www.cdn.test", Value: "/a", Soft: true})
	f.pass(time.Second)
	if got := f.get("/a", asNode); got.body != "answer 2" || got.header.Get(positionHeader) != "1-5" {
		t.Errorf("a node is answered %q, %v, want what the parent says now", got.body, got.header)
	}
	f.purge(journal.Event{Scope: journal.ScopeURL, Site: "www.cdn.test", Value: "/a", Soft: true})
	f.pass(time.Second)
	down.Store(true)
	if got := f.get("/a", asNode); got.body != "answer 2" || got.header.Get(positionHeader) != "0-0" {
		t.Errorf("with the parent down a node is answered %q with position %q, want what there is, with none that is known", got.body, got.header.Get(positionHeader))
	}
	if got := f.get("/a"); got.body != "answer 2" || !strings.HasPrefix(got.header.Get("X-Cache"), "STALE") {
		t.Errorf("a client is answered %q, %v, want what there is", got.body, got.header)
	}
}
