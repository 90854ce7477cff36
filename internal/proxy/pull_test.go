package proxy

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"cdnlab/internal/cache"
	"cdnlab/internal/httpcache"
)

// piecesOf makes the pieces of a body.
func piecesOf(body, etag string) (list []*Piece) {
	const chunk = cache.DefaultChunk
	for first := 0; first < len(body); first += chunk {
		part := body[first:min(first+chunk, len(body))]
		list = append(list, &Piece{Site: "www.cdn.test", Target: "/film", ETag: etag, Size: int64(len(body)),
			Span: httpcache.Span{First: int64(first), Length: int64(len(part))}, Sum: sha256.Sum256([]byte(part))})
	}
	return list
}

func TestPull(t *testing.T) {
	for name, size := range map[string]int{"small": 2 << 20, "in slices": 9<<20 + 5} {
		t.Run(name, func(t *testing.T) {
			l := newLibrary(size)
			f := start(t, setup{ram: 256 << 20}, l.serve)
			pieces := piecesOf(l.body, `"v1"`)
			for _, again := range []bool{false, true} {
				served := l.served.Load()
				for i, p := range pieces {
					brought, err := f.proxy.Pull(context.Background(), p)
					if err != nil {
						t.Fatalf("piece %d: %v", i, err)
					}
					if brought && again {
						t.Errorf("piece %d is fetched again", i)
					}
				}
				if n := l.served.Load() - served; again && n > 0 || !again && n != int64(size) {
					t.Errorf("again=%v: the origin has served %d bytes of %d", again, n, size)
				}
			}
			f.settled()
			served := l.served.Load()
			if got := f.get("/film"); got.body != l.body || !strings.HasPrefix(got.header.Get("X-Cache"), "HIT") || l.served.Load() != served {
				t.Errorf("a client gets %s and %d bytes", got.header.Get("X-Cache"), len(got.body))
			}
			if n := f.stats.Snapshot().Total(); n != 1 {
				t.Errorf("%d requests are counted, want the client's", n)
			}
		})
	}
}

func TestAPullGoesOnWhereItWasInterrupted(t *testing.T) {
	l := newLibrary(9 << 20)
	f := start(t, setup{ram: 256 << 20}, l.serve)
	pieces := piecesOf(l.body, `"v1"`)
	for _, i := range []int{0, 3, 4} {
		if _, err := f.proxy.Pull(context.Background(), pieces[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range pieces {
		had := i == 0 || i == 3 || i == 4
		if brought, err := f.proxy.Pull(context.Background(), p); err != nil || brought == had {
			t.Errorf("piece %d: brought = %v, %v, want %v", i, brought, err, !had)
		}
	}
	if n := l.served.Load(); n != int64(len(l.body)) {
		t.Errorf("the origin has served %d bytes, want each of %d once", n, len(l.body))
	}
}

func TestAPullWaitsForTheDisk(t *testing.T) {
	dir := t.TempDir()
	l := newLibrary(2 << 20)
	f := start(t, setup{dir: dir}, l.serve)
	p := piecesOf(l.body, `"v1"`)[0]
	if _, err := f.proxy.Pull(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	f.stop()
	f = prepare(t, setup{dir: dir}, l.serve)
	pulled := make(chan bool, 1)
	go func() {
		brought, err := f.proxy.Pull(t.Context(), p)
		if err != nil {
			t.Error(err)
		}
		pulled <- brought
	}()
	select {
	case <-pulled:
		t.Error("a pull does not wait")
		return
	case <-time.After(50 * time.Millisecond):
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.proxy.Run(ctx) }()
	if <-pulled {
		t.Error("what is on disk is fetched again")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAPieceThatDoesNotMatchItsSumIsRemoved(t *testing.T) {
	for name, size := range map[string]int{"small": 1 << 20, "in slices": 9 << 20} {
		t.Run(name, func(t *testing.T) {
			l := newLibrary(size)
			f := start(t, setup{ram: 256 << 20}, l.serve)
			good := piecesOf(l.body, `"v1"`)
			for _, p := range good {
				if _, err := f.proxy.Pull(context.Background(), p); err != nil {
					t.Fatal(err)
				}
			}
			bad := *good[len(good)-1]
			bad.Sum[0] ^= 1
			if _, err := f.proxy.Pull(context.Background(), &bad); !errors.Is(err, ErrSum) {
				t.Errorf("a wrong sum gives %v, want ErrSum", err)
			}
			served := l.served.Load()
			for i, p := range good {
				brought, err := f.proxy.Pull(context.Background(), p)
				if last := i == len(good)-1; err != nil || brought != last {
					t.Errorf("piece %d after that: brought = %v, %v, want %v", i, brought, err, last)
				}
			}
			if n := l.served.Load() - served; n != good[len(good)-1].Span.Length {
				t.Errorf("%d bytes are fetched again, want the piece alone", n)
			}
		})
	}
}

func TestAPullIsOfOneVersion(t *testing.T) {
	for name, size := range map[string]int{"small": 1 << 20, "in slices": 9 << 20} {
		t.Run(name, func(t *testing.T) {
			l := newLibrary(size)
			f := start(t, setup{ram: 256 << 20}, l.serve)
			f.get("/film")
			f.settled()
			if _, err := f.proxy.Pull(context.Background(), piecesOf(l.body, `"v2"`)[0]); !errors.Is(err, ErrVersion) {
				t.Errorf("a version that the origin does not have gives %v, want ErrVersion", err)
			}
			l.publish(`"v2"`)
			if _, err := f.proxy.Pull(context.Background(), piecesOf(l.body, `"v2"`)[0]); err != nil {
				t.Errorf("the version that the origin has now: %v", err)
			}
			if got := f.get("/film", "Range: bytes=0-9"); got.header.Get("ETag") != `"v2"` || !strings.HasPrefix(got.header.Get("X-Cache"), "HIT") {
				t.Errorf("a client gets %s, %s, want a hit of the new version", got.header.Get("ETag"), got.header.Get("X-Cache"))
			}
		})
	}
}

// TestOnlyWhatIsPushedWaitsForTheLimit looks at what is left of a limit that nothing comes back to.
func TestOnlyWhatIsPushedWaitsForTheLimit(t *testing.T) {
	limit := rate.NewLimiter(rate.Every(1000*time.Hour), pushBurst)
	l := newLibrary(100_000)
	f := start(t, setup{pushes: limit}, l.serve)
	f.get("/trailer")
	f.get("/other", pushHeader+": 1") // says so, but no node has sent it
	f.settled()
	if left := limit.Tokens(); int(left) != pushBurst {
		t.Errorf("what clients ask for has taken %v bytes", pushBurst-left)
	}
	if _, err := f.proxy.Pull(t.Context(), piecesOf(l.body, `"v1"`)[0]); err != nil {
		t.Fatal(err)
	}
	if left := int(limit.Tokens()); left != pushBurst-100_000 {
		t.Errorf("a pull of 100,000 bytes has taken %d", pushBurst-left)
	}
	if got := f.get("/film"); got.body != l.body {
		t.Errorf("a client gets %d bytes of what was pulled", len(got.body))
	}
	f.get("/sequel", secretHeader+": "+secret, pushHeader+": 1") // a node below asks, for its push
	f.settled()
	if left := int(limit.Tokens()); left != pushBurst-200_000 {
		t.Errorf("another 100,000 bytes of a push below have taken %d", pushBurst-100_000-left)
	}
}

// TestAClientDoesNotWaitForThePaceOfAPush asks for what is being pulled at a pace that would take most of a minute.
func TestAClientDoesNotWaitForThePaceOfAPush(t *testing.T) {
	for name, size := range map[string]int{"small": 1 << 20, "in slices": 9 << 20} {
		t.Run(name, func(t *testing.T) {
			limit := rate.NewLimiter(pushPiece, pushBurst)
			l := newLibrary(size)
			f := start(t, setup{pushes: limit, ram: 256 << 20}, l.serve)
			var pull sync.WaitGroup
			defer pull.Wait()
			pull.Go(func() {
				if _, err := f.proxy.Pull(context.Background(), piecesOf(l.body, `"v1"`)[0]); err != nil {
					t.Error(err)
				}
			})
			f.wait("the limit to be used up", func() bool { return limit.Tokens() < pushPiece })
			begin := time.Now()
			if got := f.get("/film", "Range: bytes=0-1048575"); got.body != l.body[:1<<20] {
				t.Errorf("a client gets %d bytes, %v", len(got.body), got.err)
			}
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("a client waits for %s", took)
			}
			if n := f.origin().count(); n != 1 {
				t.Errorf("the origin was asked %d times, want 1", n)
			}
		})
	}
}

func TestPullsThatCannotBe(t *testing.T) {
	l := newLibrary(100)
	l.lines = dated + "Cache-Control: no-store\r\n"
	f := start(t, setup{}, l.serve)
	p := piecesOf(l.body, `"v1"`)[0]
	if _, err := f.proxy.Pull(context.Background(), p); err == nil || !strings.Contains(err.Error(), "not stored") {
		t.Errorf("what must not be stored gives %v", err)
	}
	f.origin().setDown(true)
	if _, err := f.proxy.Pull(context.Background(), p); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("without an origin: %v", err)
	}
	other := *p
	other.Site = "other.test"
	if _, err := f.proxy.Pull(context.Background(), &other); err == nil {
		t.Error("a site that is not known is pulled")
	}
}

func TestHitsOfWhatWasPushedSaySo(t *testing.T) {
	f := start(t, setup{}, fresh)
	f.get("/a")
	f.get("/b")
	f.proxy.Pushed("www.cdn.test", "/a", 100)
	f.proxy.Pushed("www.cdn.test", "/c", 50)
	f.proxy.Pushed("other.test", "/c", 50)
	if n := f.stats.Snapshot().Cache.Pushed; n.Bytes != 150 || n.Objects != 2 || n.Unrequested != 150 {
		t.Errorf("counted %+v, want 2 objects of 150 bytes, nothing requested", n)
	}
	if a, b := f.get("/a").cacheStatus(), f.get("/b").cacheStatus(); !strings.Contains(a, `detail="pushed"`) || strings.Contains(b, "pushed") {
		t.Errorf("Cache-Status of what was pushed %q, of what was not %q", a, b)
	}
	if n := f.stats.Snapshot().Cache.Pushed; n.Unrequested != 50 {
		t.Errorf("%d bytes were pushed and not requested, want 50", n.Unrequested)
	}
	for i := range maxPushed + 5 {
		f.proxy.pushed.add(uint64(i), 1)
	}
	if n := f.stats.Snapshot().Cache.Pushed; n.Objects != maxPushed {
		t.Errorf("%d objects are remembered, want %d", n.Objects, maxPushed)
	}
}
