package origin

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"cdnlab/topology"
)

func TestDynamicRequestsAreRead(t *testing.T) {
	for _, c := range []struct {
		rest, query string
		want        dynamic
		fault       string
	}{
		{"time", "", dynamic{kind: "time", size: -1, status: 200, ttl: -1}, ""},
		{"", "", dynamic{size: -1, status: 200, ttl: -1}, ""},
		{"delay/200ms", "", dynamic{delay: 200 * time.Millisecond, size: -1, status: 200, ttl: -1, chosen: true}, ""},
		{"size/1MiB", "", dynamic{size: 1 << 20, status: 200, ttl: -1, chosen: true}, ""},
		{"status/503", "x=y", dynamic{size: -1, status: 503, ttl: -1, chosen: true}, ""},
		{"greeting", "delay=1s&size=10&status=404&ttl=1m", dynamic{kind: "greeting", delay: time.Second, size: 10, status: 404, ttl: time.Minute}, ""},
		{"nothing", "", dynamic{}, "there are time, greeting"},
		{"time/now", "", dynamic{}, "takes nothing after it"},
		{"delay/", "", dynamic{}, "write it as 200ms"},
		{"delay/2", "", dynamic{}, "write it as 200ms"},
		{"delay/-2s", "", dynamic{}, "write it as 200ms"},
		{"delay/61s", "", dynamic{}, "at most 1m0s"},
		{"size/1.5MiB", "", dynamic{}, "write it as 512B"},
		{"size/2GiB", "", dynamic{}, "at most 1073741824 bytes"},
		{"size/99999999999GiB", "", dynamic{}, "too large"},
		{"size/999999999999999999999", "", dynamic{}, "bad size"},
		{"status/abc", "", dynamic{}, "from 200 to 599"},
		{"status/101", "", dynamic{}, "from 200 to 599"},
		{"status/600", "", dynamic{}, "from 200 to 599"},
		{"time", "ttl=-1s", dynamic{}, "bad ttl"},
		{"time", "delay=1s&delay=2s", dynamic{}, "given twice"},
		{"delay/1s", "delay=2s", dynamic{}, "given twice"},
		{"time", "delay=%zz", dynamic{}, "bad query"},
	} {
		got, err := parseDynamic(c.rest, c.query)
		if c.fault == "" && (err != nil || got != c.want) || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
			t.Errorf("parseDynamic(%q, %q) = %+v, %v; want %+v, fault %q", c.rest, c.query, got, err, c.want, c.fault)
		}
	}
}

func FuzzDynamic(f *testing.F) {
	f.Add("time", "delay=1s&ttl=5s")
	f.Add("size/1MiB", "status=204")
	f.Add("status/", "size=kkk&&&")
	f.Fuzz(func(t *testing.T, rest, query string) {
		d, err := parseDynamic(rest, query)
		if err == nil && (d.delay < 0 || d.delay > maxDelay || d.size < -1 || d.size > maxSynthetic || d.status < 200 || d.status > 599) {
			t.Errorf("parseDynamic(%q, %q) = %+v is out of bounds", rest, query, d)
		}
	})
}

func TestDynamicAnswers(t *testing.T) {
	l := start(t, topology.Origin{}, func(c *Config) { c.Now = func() time.Time { return noon } })
	a := l.get("/dynamic/time")
	a.want(t, "time", 200, noon.Format(time.RFC3339Nano))
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control = %q, want no-store", got)
	}
	if got := l.get("/dynamic/time?ttl=90s").header.Get("Cache-Control"); got != "public, max-age=90" {
		t.Errorf("Cache-Control with ttl = %q", got)
	}
	began := time.Now()
	l.get("/dynamic/delay/80ms").want(t, "delay", 200, "after 80ms")
	if took := time.Since(began); took < 80*time.Millisecond {
		t.Errorf("a delay of 80ms took %v", took)
	}
	l.get("/dynamic/status/503").want(t, "status", 503, "status 503")
	l.get("/dynamic/status/304").want(t, "status without body", 304, "")
	if got := l.get("/dynamic/size/100KB?status=404"); got.status != 404 || len(got.body) != 100_000 {
		t.Errorf("size and status = %d with %d bytes", got.status, len(got.body))
	}
	if got := l.do(http.MethodHead, "/dynamic/size/1GiB", nil).header.Get("Content-Length"); got != "1073741824" {
		t.Errorf("HEAD of a size has Content-Length %s", got)
	}
	l.get("/dynamic/").want(t, "help", 200, "/dynamic/size/1MiB")
	l.get("/dynamic/delay/2").want(t, "bad value", 400, "write it as 200ms")
	l.do(http.MethodPost, "/dynamic/status/201", strings.NewReader(strings.Repeat("x", 500_000))).want(t, "POST with a body", 201, "status 201")
}

func TestClientsAreBelievedOnlyThroughATier(t *testing.T) {
	const forged, country = "X-Forwarded-For: 203.0.113.9", "CDN-Client-Country: FR"
	secret := "Cdnlab-Secret: " + testSecret
	others := []string{"X-Forwarded-Host: evil.test", "Forwarded: for=evil", "X-Real-IP: 203.0.113.9", "Cdnlab-Debug: 1", "X-Own: kept", "Authorization: Bearer private"}
	headers := func(t *testing.T, l *lab, fields ...string) http.Header {
		t.Helper()
		var seen struct{ Headers http.Header }
		if err := json.Unmarshal([]byte(l.get("/dynamic/headers?a=b", append(fields, others...)...).body), &seen); err != nil {
			t.Fatal(err)
		}
		got := http.Header{}
		for name, values := range seen.Headers {
			got[http.CanonicalHeaderKey(name)] = values
		}
		for _, name := range []string{"X-Forwarded-Host", "Forwarded", "X-Real-Ip", "Cdnlab-Debug", "Cdnlab-Secret"} {
			if got.Get(name) != "" {
				t.Errorf("%s: %s came through", name, got.Get(name))
			}
		}
		if got.Get("X-Own") != "kept" || strings.Contains(got.Get("Authorization"), "private") {
			t.Errorf("X-Own = %q, Authorization = %q", got.Get("X-Own"), got.Get("Authorization"))
		}
		return got
	}
	expect := func(t *testing.T, got http.Header, want map[string]string) {
		t.Helper()
		for name, value := range want {
			if g := got.Get(name); g != value {
				t.Errorf("%s = %q, want %q", name, g, value)
			}
		}
	}
	located := start(t, topology.Origin{}, func(c *Config) { c.Locator = fakeLocator{} })
	bare := start(t, topology.Origin{})
	https := start(t, topology.Origin{}, func(c *Config) { c.Topology.Sites[0].Scheme = "https" })
	t.Run("a tier", func(t *testing.T) {
		got := headers(t, located, secret, forged, "X-Forwarded-Proto: https", "X-Request-Id: r1", "CDN-Client-City: Paris", country)
		expect(t, got, map[string]string{"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Request-Id": "r1", "Cdn-Client-City": "Paris", "Cdn-Client-Country": "FR"})
		located.get("/dynamic/greeting", secret, "CDN-Client-City: Paris", country).want(t, "greeting", 200, "Hello, Paris (FR)!")
	})
	t.Run("anybody else", func(t *testing.T) {
		got := headers(t, located, forged, "X-Forwarded-Proto: https", "X-Request-Id: r1", "CDN-Client-City: Paris", country, "Cdnlab-Secret: guessed")
		expect(t, got, map[string]string{"X-Forwarded-For": "198.18.2.7", "X-Forwarded-Proto": "http", "Cdn-Client-City": "Tokyo", "Cdn-Client-Country": "JP"})
		if id := got.Get("X-Request-Id"); id == "r1" || len(id) != 32 {
			t.Errorf("X-Request-Id = %q, want a new one", id)
		}
		located.get("/dynamic/greeting", "CDN-Client-City: Paris").want(t, "greeting", 200, "Hello, Tokyo (JP)!")
	})
	t.Run("anybody, where nobody locates", func(t *testing.T) {
		expect(t, headers(t, bare, forged, "CDN-Client-City: Paris"), map[string]string{"X-Forwarded-For": "127.0.0.1", "Cdn-Client-City": ""})
		bare.get("/dynamic/greeting", "CDN-Client-City: Paris").want(t, "greeting", 200, "wherever you are")
	})
	t.Run("the site's scheme", func(t *testing.T) {
		expect(t, headers(t, https, secret, "X-Forwarded-Proto: http"), map[string]string{"X-Forwarded-Proto": "https"})
	})
}
