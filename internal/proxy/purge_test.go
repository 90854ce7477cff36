package proxy

import (
	"fmt"
	"strings"
	"testing"

	"cdnlab/internal/journal"
)

// tagging answers everything with surrogate keys that its path names: /x/y has x and y.
func tagging(c *call) bool {
	tags := strings.ReplaceAll(strings.Trim(c.target(), "/"), "/", " ")
	return c.write(reply("200 OK", dated+"Cache-Control: max-age=600\r\nETag: \"v1\"\r\nSurrogate-Key: "+tags+"\r\n", "body of "+c.target()))
}

// purge has the tier apply a purge.
func (f *tier) purge(e journal.Event) {
	f.t.Helper()
	e.Kind = journal.Purge
	f.proxy.Apply(e)
}

func (f *tier) purgeURL(target string) {
	f.t.Helper()
	f.purge(journal.Event{Scope: journal.ScopeURL, Site: "www.cdn.test", Value: target})
}

// What a prefix has of a query need not be in the keys.
func TestAPrefixWithAQueryIsPurgedWhateverTheKeysHaveOfIt(t *testing.T) {
	for _, query := range []string{"keep", "sort", "drop"} {
		f := start(t, setup{cache: "query: " + query}, tagging)
		f.get("/a?b=1&a=2")
		f.pass(5e9)
		f.purge(journal.Event{Scope: journal.ScopePrefix, Site: "www.cdn.test", Value: "/a?b=1"})
		f.pass(5e9)
		before := f.origin().count()
		if f.get("/a?b=1&a=2"); f.origin().count() == before {
			t.Errorf("with query: %s the object is still served", query)
		}
	}
}

func TestPurgeAtANode(t *testing.T) {
	paths := []string{"/img/a", "/img/b", "/doc/a"}
	const www = "www.cdn.test"
	for _, tt := range []struct {
		purge journal.Event
		gone  string // paths that are no longer served as they were
	}{
		{journal.Event{Scope: journal.ScopeURL, Site: www, Value: "/img/a"}, "/img/a"},
		{journal.Event{Scope: journal.ScopeURL, Site: www, Value: "/img"}, ""},
		{journal.Event{Scope: journal.ScopeURL, Site: "other.test", Value: "/img/a"}, ""},
		{journal.Event{Scope: journal.ScopeURL, Site: "alone.cdn.test", Value: "/img/a"}, ""},
		{journal.Event{Scope: journal.ScopePrefix, Site: www, Value: "/img/"}, "/img/a /img/b"},
		{journal.Event{Scope: journal.ScopePrefix, Site: www, Value: "/"}, "/img/a /img/b /doc/a"},
		{journal.Event{Scope: journal.ScopeKey, Value: "a"}, "/img/a /doc/a"},
		{journal.Event{Scope: journal.ScopeKey, Value: "none"}, ""},
		{journal.Event{Scope: journal.ScopeKey, Site: www, Value: "a"}, "/img/a /doc/a"},
		{journal.Event{Scope: journal.ScopeKey, Site: "alone.cdn.test", Value: "a"}, ""},
		{journal.Event{Scope: journal.ScopeAll}, "/img/a /img/b /doc/a"},
		{journal.Event{Scope: journal.ScopeAll, Site: www}, "/img/a /img/b /doc/a"},
		{journal.Event{Scope: journal.ScopeAll, Site: "alone.cdn.test"}, ""},
		{journal.Event{Scope: journal.ScopeURL, Site: www, Value: "/img/a", Soft: true}, "/img/a"},
		{journal.Event{Scope: journal.ScopePrefix, Site: www, Value: "/img/", Soft: true}, "/img/a /img/b"},
		{journal.Event{Scope: journal.ScopeKey, Value: "a", Soft: true}, "/img/a /doc/a"},
		{journal.Event{Scope: journal.ScopeAll, Soft: true}, "/img/a /img/b /doc/a"},
	} {
		t.Run(fmt.Sprintf("%+v", tt.purge), func(t *testing.T) {
			f := start(t, setup{}, tagging)
			for _, p := range paths {
				f.get(p)
			}
			f.pass(5e9)
			f.purge(tt.purge)
			f.pass(5e9)
			for _, p := range paths {
				before := f.origin().count()
				got := f.get(p)
				asked := f.origin().count() > before
				gone := strings.Contains(" "+tt.gone+" ", " "+p+" ")
				validated := gone && asked && f.origin().asked()[before].field("If-None-Match") == `"v1"`
				if asked != gone || validated != (gone && tt.purge.Soft) || got.status != 200 {
					t.Errorf("%s: the origin was asked %v, to validate %v, want %v and %v; %d %s", p, asked, validated, gone, gone && tt.purge.Soft, got.status, got.cacheStatus())
				}
			}
		})
	}
}

func TestOnlyPurgesArePurges(t *testing.T) {
	f := start(t, setup{}, fresh)
	f.get("/a")
	for _, kind := range []journal.Kind{journal.Publish, journal.Push} {
		f.proxy.Apply(journal.Event{Kind: kind, Site: "www.cdn.test", Value: "/a", Version: "2"})
		if hit := f.get("/a"); !strings.HasPrefix(hit.header.Get("X-Cache"), "HIT") {
			t.Errorf("an event of kind %d empties the store", kind)
		}
	}
}

// TestAFetchThatAPurgeOvertakesIsNotShared has a purge come while the origin is answering.
func TestAFetchThatAPurgeOvertakesIsNotShared(t *testing.T) {
	came, answer := make(chan bool), make(chan bool)
	f := start(t, setup{}, func(c *call) bool {
		if c.number == 1 {
			close(came)
			<-answer
		}
		return c.write(reply("200 OK", dated+"Cache-Control: max-age=600\r\nSurrogate-Key: k\r\n", fmt.Sprint("answer ", c.number)))
	})
	first := f.connect()
	first.send(requestHead11("GET", "/a"))
	<-came
	f.purge(journal.Event{Scope: journal.ScopeKey, Value: "k"})
	if got := f.get("/a"); got.body != "answer 2" {
		t.Errorf("who asks after the purge gets %q, want what the origin says now", got.body)
	}
	close(answer)
	if got := first.read("GET"); got.body != "answer 1" {
		t.Errorf("who asked before the purge gets %q", got.body)
	}
	if got := f.get("/a"); got.body != "answer 2" {
		t.Errorf("then %q is stored, want what came after the purge", got.body)
	}
}
