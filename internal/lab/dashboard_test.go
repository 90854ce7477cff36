package lab_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"cdnlab/internal/lab"
	"cdnlab/mgmt"
)

// browser is a tab on the dashboard of a lab. It notes what a page of ours never does.
type browser struct {
	t   *testing.T
	ctx context.Context
	l   *testLab

	mu     sync.Mutex // guards wrongs
	wrongs []string   // console errors, exceptions, requests to other places
}

func openBrowser(t *testing.T, l *testLab) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		tool(t, "chromium") // skips or fails
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.WindowSize(1280, 900))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	ctx, expire := context.WithTimeout(ctx, 90*time.Second)
	t.Cleanup(expire)
	b := &browser{t: t, ctx: ctx, l: l}
	listener := func(event any) {
		switch e := event.(type) {
		case *cdpruntime.EventExceptionThrown:
			b.wrong("exception: %s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
		case *cdpruntime.EventConsoleAPICalled:
			if e.Type == "error" {
				b.wrong("console error: %s", e.Args[0].Value)
			}
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError {
				b.wrong("log: %s %s", e.Entry.Text, e.Entry.URL)
			}
		case *network.EventRequestWillBeSent:
			if u := e.Request.URL; !strings.HasPrefix(u, l.State().Admin+"/") && !strings.HasPrefix(u, "data:") {
				b.wrong("request to %s", u)
			}
		}
	}
	if err := chromedp.Listen(ctx, listener); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	return b
}

func (b *browser) wrong(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrongs = append(b.wrongs, fmt.Sprintf(format, args...))
}

func (b *browser) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.t.Fatalf("%v; the page did: %v", err, b.wrongs)
	}
}

// eval evaluates an expression in the page.
func (b *browser) eval(expression string) string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return text
}

// sees waits until an expression has a value.
func (b *browser) sees(expression, want string) {
	b.t.Helper()
	waitFor(b.t, expression, func() error {
		if got := b.eval(expression); got != want {
			return fmt.Errorf("%s is %q, want %q", expression, got, want)
		}
		return nil
	})
}

// shoot keeps a picture of the page if CDNLAB_SCREENSHOTS names a directory.
func (b *browser) shoot(name string) {
	b.t.Helper()
	dir := os.Getenv("CDNLAB_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o666); err != nil {
		b.t.Fatal(err)
	}
}

func figure(name string) string {
	return fmt.Sprintf("document.querySelector('[data-figure=%q]')?.textContent", name)
}

func TestTheDashboardShowsWhatTheAPISays(t *testing.T) {
	if testing.Short() {
		t.Skip("drives a browser for half a minute")
	}
	l := startLabWith(t, "three-continents", lab.Options{})
	b := openBrowser(t, l)
	stop := make(chan struct{})
	var load sync.WaitGroup
	for _, city := range []string{"paris", "tokyo", "sao-paulo", "new-york"} {
		place, ok := l.Plan().Place(city)
		if !ok {
			t.Fatalf("no place %s", city)
		}
		c := l.client(t, place)
		load.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if resp, err := c.Get(fmt.Sprintf("http://%s/synthetic/8KiB/%d", l.site, i%40)); err == nil {
					resp.Body.Close()
				}
			}
		})
	}
	b.run(chromedp.Navigate(l.State().Admin + "/"))
	b.sees(figure("nodes.up"), "18/18")
	waitFor(t, "flows on the map", func() error {
		if n := b.eval("document.querySelectorAll('.flow:not(.quiet)').length"); n == "0" {
			return fmt.Errorf("no flow is drawn")
		}
		return nil
	})
	b.sees(`(f => (f.dispatchEvent(new PointerEvent("pointerenter")), f.querySelector("title").textContent === f.getAttribute("aria-label")))(document.querySelector(".flow:not(.quiet)"))`, "true")
	for _, c := range []struct {
		width, height int64
		theme         string
	}{{1280, 900, "dark"}, {1280, 900, "light"}, {390, 844, "dark"}, {390, 844, "light"}} {
		b.run(chromedp.EmulateViewport(c.width, c.height))
		if b.eval("document.documentElement.dataset.theme") != c.theme {
			b.run(chromedp.Click("#theme"))
		}
		for _, page := range []string{"map", "traffic", "cache", "distribution", "dns"} {
			b.eval(fmt.Sprintf("location.hash = %q", page))
			b.sees("document.querySelector('nav [aria-current]').textContent.toLowerCase()", page)
			b.sees("document.documentElement.scrollWidth <= innerWidth", "true")
			if os.Getenv("CDNLAB_SCREENSHOTS") != "" {
				time.Sleep(1500 * time.Millisecond) // lets a picture show more than the first second
			}
			b.shoot(fmt.Sprintf("%s-%d-%s", page, c.width, c.theme))
		}
	}
	close(stop)
	load.Wait()

	// At rest the page and the API have to agree to the last digit.
	b.eval("location.hash = 'cache'")
	b.sees(figure("edge.rps"), "0")
	b.sees(figure("edge.hit"), "–")
	b.sees("document.querySelectorAll('#cache-nodes tbody tr').length", "15")
	var status mgmt.Status
	_, body := l.get(t, newClient(t, &http.Transport{}), l.State().Admin+"/api/v1/status")
	if err := json.Unmarshal([]byte(body), &status); err != nil {
		t.Fatal(err)
	}
	for _, n := range status.Nodes {
		if n.Role == "edge" && n.Cache != nil {
			b.sees(fmt.Sprintf("document.querySelector('[data-cache-node=%q]').cells[4].textContent", n.Name), fmt.Sprint(n.Cache.Objects))
		}
	}
	b.eval("location.hash = 'distribution'")
	b.sees("document.querySelectorAll('#tree .branch.current').length", "15")
	b.sees("document.querySelectorAll('#tree-nodes tbody tr').length", "15")
	b.eval("location.hash = 'dns'")
	b.eval("(document.getElementById('dns-place').value = 'tokyo', document.getElementById('dns-form').requestSubmit())")
	b.sees(figure("dns.winner"), "tokyo")

	// A fault that is set from the map takes effect, and ends with a click.
	token, err := os.ReadFile(filepath.Join(l.dir, "token"))
	if err != nil {
		t.Fatal(err)
	}
	b.run(chromedp.Navigate(l.State().Admin + "/#token=" + strings.TrimSpace(string(token))))
	b.run(chromedp.Reload())
	b.sees(figure("nodes.up"), "18/18")
	b.eval(`document.querySelector('[data-node="edges.paris"]').dispatchEvent(new KeyboardEvent("keydown", {key: "Enter"}))`)
	b.run(chromedp.Click(`[data-fault="Down"]`))
	b.sees(figure("nodes.up"), "16/18")
	b.shoot("map-fault")
	if faults := l.Faults(); len(faults) != 1 || !faults[0].Down || len(faults[0].Nodes) != 2 {
		t.Errorf("faults %+v, want both servers of paris down", faults)
	}
	b.run(chromedp.Click(`[data-mend]`))
	b.sees(figure("nodes.up"), "18/18")
	if faults := l.Faults(); len(faults) != 0 {
		t.Errorf("faults %+v after mending", faults)
	}

	// Pushing and purging from the page of the caches, seen on that of the tree.
	b.eval("location.hash = 'cache'")
	b.eval("(document.getElementById('push-urls').value = 'http://www.cdn.test/hello.txt', document.getElementById('push-form').requestSubmit())")
	b.sees("document.getElementById('cache-done').textContent", "http://www.cdn.test/hello.txt: 15 of 15 nodes have what is for them")
	b.eval("(document.getElementById('purge-value').value = 'http://www.cdn.test/hello.txt', document.getElementById('purge-form').requestSubmit())")
	b.sees("document.getElementById('cache-done').textContent.split(';')[0]", "Purged at 15 of 15 caches")
	b.shoot("cache-purged")
	b.eval("location.hash = 'distribution'")
	b.sees("document.querySelector('[data-tree-row=\"tokyo-1\"]')?.cells[1].textContent", "ap-1")
	b.sees("document.querySelector('[data-tree-row=\"tokyo-1\"]')?.cells[2].textContent", "2")
	if err := l.Stop("ap-1"); err != nil {
		t.Fatal(err)
	}
	b.sees("document.querySelector('[data-tree-row=\"ap-1\"]')?.cells[1].textContent", "nobody")
	b.sees("document.querySelector('[data-tree-row=\"tokyo-1\"]')?.cells[1].textContent !== 'ap-1' && document.querySelectorAll('#tree .branch').length", "14")
	b.shoot("distribution-hub-down")
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.wrongs {
		t.Error(w)
	}
}
