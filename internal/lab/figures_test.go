package lab_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"cdnlab/mgmt"
)

// tally is what clients have counted of their own requests.
type tally struct {
	requests, bytes, hits, errors uint64
	status                        map[string]uint64 // by class: "2xx"
}

// TestTheFiguresAreTheClientsOwn sends a known run with vegeta and curl and compares what they counted with what the admin API
// says, from which the dashboard and status have their figures.
func TestTheFiguresAreTheClientsOwn(t *testing.T) {
	l := startLab(t, "tiny")
	want := tally{status: map[string]uint64{}}
	base := "http://" + l.site
	for _, path := range []string{"/synthetic/4KiB/a", "/synthetic/4KiB/a", "/synthetic/4KiB/a?x", "/none", "/none", "/dynamic/status/503", "/hello.txt"} {
		want.curl(t, l, base+path)
	}
	want.vegeta(t, l, base+"/synthetic/4KiB/a") // stored by now: all hits

	api := newClient(t, &http.Transport{DisableKeepAlives: true})
	read := func(path string, into any) {
		t.Helper()
		_, body := l.get(t, api, l.State().Admin+"/api/v1"+path)
		if err := json.Unmarshal([]byte(body), into); err != nil {
			t.Fatal(err)
		}
	}
	var status mgmt.Status
	read("/status", &status)
	edge := status.Tiers[0]
	if edge.Requests != want.requests || edge.BytesOut != want.bytes || edge.Errors != want.errors {
		t.Errorf("the edges have %d requests, %d bytes, %d errors; the clients counted %d, %d, %d", edge.Requests, edge.BytesOut, edge.Errors, want.requests, want.bytes, want.errors)
	}
	if ratio := float64(want.hits) / float64(want.requests); edge.HitRatio == nil || math.Abs(*edge.HitRatio-ratio) > 1e-9 {
		t.Errorf("the hit ratio is %v, the clients counted %v", edge.HitRatio, ratio)
	}
	waitFor(t, "the series", func() error { // one point a second, its rates over the time since the point before
		var series struct{ RPS []*float64 }
		read("/series?of=edge&window=300", &series)
		var all float64
		for _, rate := range series.RPS {
			if rate != nil {
				all += *rate
			}
		}
		if math.Abs(all-float64(want.requests)) > 0.1*float64(want.requests) {
			return fmt.Errorf("the points add up to %.1f requests, the clients counted %d", all, want.requests)
		}
		return nil
	})
	var metrics struct{ requests, bytes uint64 }
	_, text := l.get(t, api, "http://"+l.edges()[0].HTTP.String()+"/-/metrics")
	got := map[string]uint64{}
	for line := range strings.SplitSeq(text, "\n") {
		name, _, _ := strings.Cut(line, "{")
		n, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			continue
		}
		switch name {
		case "cdnlab_requests_total":
			metrics.requests += uint64(n)
		case "cdnlab_sent_bytes_total":
			metrics.bytes += uint64(n)
		case "cdnlab_responses_total":
			_, class, _ := strings.Cut(line, `class="`)
			class, _, _ = strings.Cut(class, `"`)
			got[class] += uint64(n)
		}
	}
	if metrics.requests != want.requests || metrics.bytes != want.bytes || fmt.Sprint(got) != fmt.Sprint(want.status) {
		t.Errorf("/-/metrics has %+v and %v, the clients counted %+v", metrics, got, want)
	}
}

func (c *tally) add(status int, n, bytes uint64) {
	c.requests += n
	c.bytes += bytes
	c.status[fmt.Sprintf("%dxx", status/100)] += n
	if status >= 500 {
		c.errors += n
	}
}

func (c *tally) curl(t *testing.T, l *testLab, url string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), tool(t, "curl"), "-s", "-o", os.DevNull, "-D", "-", "-w", "%{http_code} %{size_download}", "-x", l.place.Gateway.String(), url).Output()
	if err != nil {
		t.Fatalf("curl %s: %v", url, err)
	}
	head, totals, _ := strings.Cut(string(out), "\r\n\r\n")
	var status int
	var size uint64
	if _, err := fmt.Sscan(totals, &status, &size); err != nil {
		t.Fatalf("curl wrote %q: %v", out, err)
	}
	c.add(status, 1, size)
	if strings.Contains(head, "X-Cache: HIT") {
		c.hits++
	}
}

func (c *tally) vegeta(t *testing.T, l *testLab, url string) {
	t.Helper()
	vegeta := binary(t, "github.com/tsenart/vegeta/v12")
	attack := exec.CommandContext(t.Context(), vegeta, "attack", "-duration=2s", "-rate=200")
	attack.Stdin = strings.NewReader("GET " + url + "\n")
	attack.Env = append(os.Environ(), "HTTP_PROXY=http://"+l.place.Gateway.String())
	results, err := attack.Output()
	if err != nil {
		t.Fatalf("vegeta attack: %v", err)
	}
	report := exec.CommandContext(t.Context(), vegeta, "report", "-type=json")
	report.Stdin = bytes.NewReader(results)
	out, err := report.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Requests uint64                 `json:"requests"`
		Codes    map[string]uint64      `json:"status_codes"`
		In       struct{ Total uint64 } `json:"bytes_in"`
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if got.Requests != 400 || got.Codes["200"] != got.Requests {
		t.Fatalf("vegeta counted %+v, want 400 times 200", got)
	}
	c.add(200, got.Requests, got.In.Total)
	c.hits += got.Requests
}
