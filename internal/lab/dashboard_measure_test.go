package lab_test

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"cdnlab/internal/lab"
)

// watchFrames counts frames that came more than 50 ms after the one before, for a number of seconds, and what kept the page's
// thread for more than 50 ms.
const watchFrames = `(() => {
	const w = window.watched = {frames: 0, late: 0, worst: 0, tasks: 0, longest: 0, done: false};
	new PerformanceObserver(l => { for (const e of l.getEntries()) { w.tasks++; w.longest = Math.max(w.longest, e.duration); } }).observe({type: "longtask"});
	const began = performance.now(); let last = began;
	const frame = now => {
		w.frames++; if (now - last > 50) w.late++;
		w.worst = Math.max(w.worst, now - last); last = now;
		if (now - began < %d) requestAnimationFrame(frame); else w.done = true;
	};
	requestAnimationFrame(frame);
})()`

// TestMeasureTheDashboard prints how the page does with about 100 nodes; it runs with CDNLAB_MEASURE=1.
func TestMeasureTheDashboard(t *testing.T) {
	if os.Getenv("CDNLAB_MEASURE") == "" {
		t.Skip("set CDNLAB_MEASURE=1 to measure the dashboard in a browser")
	}
	l := startLabWith(t, "three-continents", lab.Options{}, "edges.*.servers=10", "hubs.*.servers=3")
	stop := make(chan struct{})
	var load sync.WaitGroup
	defer load.Wait()
	defer close(stop)
	for _, city := range []string{"paris", "tokyo", "sao-paulo", "new-york"} {
		place, _ := l.Plan().Place(city)
		c := l.client(t, place)
		load.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
				}
				if resp, err := c.Get(fmt.Sprintf("http://%s/synthetic/8KiB/%d", l.site, i%40)); err == nil {
					resp.Body.Close()
				}
			}
		})
	}
	b := openBrowser(t, l)
	frames := func() string {
		const seconds = 10
		b.eval(fmt.Sprintf(watchFrames, seconds*1000))
		time.Sleep((seconds + 1) * time.Second)
		b.sees("watched.done", "true")
		return b.eval(`watched.frames + " frames, " + watched.late + " over 50 ms late, the worst after " + watched.worst.toFixed(0) + " ms; " + watched.tasks + " long tasks, the longest " + watched.longest.toFixed(0) + " ms"`)
	}
	b.run(chromedp.Navigate(l.State().Admin + "/api/v1/faults"))
	t.Logf("a page that does nothing: %s", frames())
	for _, page := range []string{"map", "traffic", "cache", "dns"} {
		b.run(chromedp.Navigate(l.State().Admin + "/-/health"))
		b.run(chromedp.Navigate(l.State().Admin + "/#" + page))
		b.sees(figure("nodes.up"), fmt.Sprintf("%[1]d/%[1]d", len(l.Plan().Nodes)))
		paint := b.eval(`performance.getEntriesByName("first-contentful-paint")[0].startTime.toFixed(0)`)
		t.Logf("%s with %d nodes: first paint after %s ms; %s", page, len(l.Plan().Nodes), paint, frames())
	}
}
