package httpcache

import (
	"reflect"
	"testing"
	"time"
)

// said returns the control that set makes of one which says nothing.
func said(set func(c *control)) control {
	c := newControl()
	set(&c)
	return c
}

func TestControl(t *testing.T) {
	const s = time.Second
	maxAge := func(d time.Duration) control { return said(func(c *control) { c.maxAge = d }) }
	tests := []struct {
		name  string
		lines []string
		want  control
	}{
		{"nothing", nil, newControl()},
		{"§5.2.2 flags", []string{"public, no-store, no-cache, must-revalidate, proxy-revalidate, must-understand, private"},
			said(func(c *control) {
				c.public, c.noStore, c.noCache, c.private = true, true, true, true
				c.mustRevalidate, c.proxyRevalidate, c.mustUnderstand = true, true, true
			})},
		{"RFC 8246 §2 immutable", []string{"immutable"}, said(func(c *control) { c.immutable = true })},
		{"§5.2.2 spans", []string{"max-age=1, s-maxage=2, stale-while-revalidate=3, stale-if-error=4"},
			said(func(c *control) { c.maxAge, c.sMaxAge, c.staleWhileRevalidate, c.staleIfError = s, 2*s, 3*s, 4*s })},
		{"§5.2 upper case", []string{"NO-STORE, S-MAXAGE=2"}, said(func(c *control) { c.noStore, c.sMaxAge = true, 2*s })},
		{"§5.2 quoted", []string{`max-age="1"`}, maxAge(s)},
		{"§5.2 two lines", []string{"no-store", "max-age=1"}, said(func(c *control) { c.noStore, c.maxAge = true, s })},
		{"§5.2.3 unknown directives", []string{`x, y=z, maxage=5, "no-store", max_age=5`}, newControl()},
		{"§5.2 argument of a flag", []string{"no-store=x, public=0"}, said(func(c *control) { c.noStore, c.public = true, true })},
		{"§4.2.1 first of several", []string{"max-age=1, max-age=2", "max-age=3"}, maxAge(s)},
		{"§4.2.1 first of several is no number", []string{"max-age=x, max-age=2"}, maxAge(0)},
		{"§4.2.1 float", []string{"max-age=1.5"}, maxAge(0)},
		{"§4.2.1 negative", []string{"max-age=-1"}, maxAge(0)},
		{"§4.2.1 nothing after =", []string{"max-age="}, maxAge(0)},
		{"§1.2.2 overflow", []string{"max-age=99999999999999999999"}, maxAge(maxSeconds * s)},
		{"RFC 5861 consent that is no number", []string{"stale-while-revalidate=x, stale-if-error"}, newControl()},
		{"RFC 5861 first valid consent", []string{"stale-if-error=x, stale-if-error=4, stale-if-error=5"},
			said(func(c *control) { c.staleIfError = 4 * s })},

		{"§5.2.2.4 no-cache with a field", []string{`no-cache="A"`}, said(func(c *control) { c.unlisted = []string{"A"} })},
		{"§5.2.2.4 no-cache with fields", []string{`no-cache="A, b ,"`}, said(func(c *control) { c.unlisted = []string{"A", "b"} })},
		{"§5.2.2.4 no-cache with a token", []string{"no-cache=A"}, said(func(c *control) { c.unlisted = []string{"A"} })},
		{"§5.2.2.4 with and without fields", []string{`no-cache="A", no-cache`},
			said(func(c *control) { c.unlisted, c.noCache = []string{"A"}, true })},
		{"§5.2.2.4 no fields between the quotes", []string{`no-cache=""`}, said(func(c *control) { c.noCache = true })},
		{"§5.2.2.4 nothing after =", []string{"no-cache="}, said(func(c *control) { c.noCache = true })},
		{"§5.2.2.4 no field names", []string{`no-cache="a b"`}, said(func(c *control) { c.noCache = true })},
		{"§5.2.2.4 quote that does not close", []string{`no-cache="a`}, said(func(c *control) { c.noCache = true })},
		{"§5.2.2.7 private with fields", []string{`private="a", private="B"`}, said(func(c *control) { c.unlisted = []string{"a", "B"} })},
		{"§5.2.2.7 no field names", []string{`private="a;b"`}, said(func(c *control) { c.private = true })},
		{"§5.2.2.7 fields and no field names", []string{`private="a, b c"`},
			said(func(c *control) { c.unlisted, c.private = []string{"a"}, true })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newControl()
			for _, line := range tt.lines {
				c.addLine(line)
			}
			if !reflect.DeepEqual(c, tt.want) {
				t.Errorf("Cache-Control %q says %+v, want %+v", tt.lines, c, tt.want)
			}
		})
	}
}

func TestTargetedControl(t *testing.T) {
	const s = time.Second
	maxAge := func(d time.Duration) control { return said(func(c *control) { c.maxAge = d }) }
	invalid := newControl()
	tests := []struct {
		name  string
		lines []string
		valid bool
		want  control // when valid
	}{
		{"§2.1 integer", []string{"max-age=60"}, true, maxAge(60 * s)},
		{"§2.1 all spans", []string{"max-age=1, s-maxage=2, stale-while-revalidate=3, stale-if-error=4"}, true,
			said(func(c *control) { c.maxAge, c.sMaxAge, c.staleWhileRevalidate, c.staleIfError = s, 2*s, 3*s, 4*s })},
		{"§2.1 all flags", []string{"public, no-store, must-revalidate, proxy-revalidate, must-understand, immutable, private, no-cache"}, true,
			said(func(c *control) {
				c.public, c.noStore, c.mustRevalidate, c.proxyRevalidate = true, true, true, true
				c.mustUnderstand, c.immutable, c.private, c.noCache = true, true, true, true
			})},
		{"§2.1 fields", []string{`no-cache="a, B"`}, true, said(func(c *control) { c.unlisted = []string{"a", "B"} })},
		{"§2.1 private fields", []string{`private="a"`}, true, said(func(c *control) { c.unlisted = []string{"a"} })},
		{"§2.1 two lines", []string{"max-age=60", "no-store"}, true, said(func(c *control) { c.maxAge, c.noStore = 60*s, true })},
		{"§2.1 parameters are ignored", []string{"max-age=60;no-store, x;y=1"}, true, maxAge(60 * s)},
		{"§2.1 unknown directives of any type", []string{`max-age=60, a=1.5, b="x", c=?0, d=(1 2), e=:eA==:, f=t`}, true, maxAge(60 * s)},
		{"§3.1 an unknown directive is no empty field", []string{"none"}, true, newControl()},
		{"true", []string{"no-store=?1"}, true, said(func(c *control) { c.noStore = true })},
		{"false", []string{"no-store=?0, private=?0, no-cache=?0"}, true, newControl()},
		{"RFC 9651 §3.2 last of several", []string{"max-age=1, max-age=60"}, true, maxAge(60 * s)},
		{"RFC 9111 §4.2.1 negative", []string{"max-age=-60"}, true, maxAge(0)},
		{"RFC 9111 §1.2.2 overflow", []string{"max-age=999999999999999"}, true, maxAge(maxSeconds * s)},

		{"§2.1 empty", []string{""}, false, invalid},
		{"§2.1 spaces", []string{" ", ""}, false, invalid},
		{"§2.1 decimal", []string{"max-age=60.0"}, false, invalid},
		{"§2.1 string", []string{`max-age="60"`}, false, invalid},
		{"§2.1 token", []string{"max-age=a"}, false, invalid},
		{"§2.1 no value", []string{"max-age"}, false, invalid},
		{"§2.1 inner list", []string{"s-maxage=(60)"}, false, invalid},
		{"§2.1 flag with a number", []string{"max-age=60, no-store=1"}, false, invalid},
		{"§2.1 flag with a list", []string{"max-age=60, public=()"}, false, invalid},
		{"§2.1 fields as a token", []string{"no-cache=a, max-age=60"}, false, invalid},
		{"§2.1 fields as a list", []string{`private=("a"), max-age=60`}, false, invalid},
		{"RFC 9651 §3.2 upper case", []string{"Max-Age=60"}, false, invalid},
		{"RFC 9651 §3.2 trailing comma", []string{"max-age=60,"}, false, invalid},
		{"RFC 9651 §3.2 comma missing", []string{"max-age=60 no-store"}, false, invalid},
		{"RFC 9651 §3.3.1 more than 15 digits", []string{"max-age=1000000000000000"}, false, invalid},
		{"RFC 9651 §3.3.3 quote that does not close", []string{`no-cache="a`}, false, invalid},
		{"one line of two broken", []string{"max-age=60", "&&&"}, false, invalid},
	}
	for _, tt := range tests {
		t.Run("RFC 9213 "+tt.name, func(t *testing.T) {
			c, valid := targetedControl(tt.lines)
			if valid != tt.valid || valid && !reflect.DeepEqual(c, tt.want) {
				t.Errorf("CDN-Cache-Control %q says %+v, valid %v; want %+v, %v", tt.lines, c, valid, tt.want, tt.valid)
			}
		})
	}
}

// What is not valid must not leave a trace: the field is ignored as a whole.
func TestTargetedControlIgnoredWhole(t *testing.T) {
	for _, line := range []string{"no-store, max-age=0, public=1", "no-store, private, max-age=0, no-cache=(a)", "private, &"} {
		adm := Admit(get(), response(200, "Cache-Control", "max-age=60", "CDN-Cache-Control", line), &Policy{})
		if !adm.Stored || adm.Meta.Lifetime != time.Minute || adm.Meta.Source != SourceMaxAge {
			t.Errorf("Admit with CDN-Cache-Control %q = %v, %v by %d, want stored for a minute by Cache-Control (RFC 9213 §2.1)",
				line, adm.Stored, adm.Meta.Lifetime, adm.Meta.Source)
		}
	}
}

func FuzzTargetedControl(f *testing.F) {
	for _, seed := range []string{"max-age=60, no-store", `no-cache="a, b"`, "private=(a)", "max-age=-1;x", "none"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c, valid := targetedControl([]string{line})
		if !valid {
			return
		}
		for _, d := range []time.Duration{c.sMaxAge, c.maxAge, c.staleWhileRevalidate, c.staleIfError} {
			if d != absent && (d < 0 || d > maxSeconds*time.Second) {
				t.Errorf("CDN-Cache-Control %q has a span of %v", line, d)
			}
		}
		for _, name := range c.unlisted {
			if !token(name) {
				t.Errorf("CDN-Cache-Control %q names the field %q", line, name)
			}
		}
	})
}
