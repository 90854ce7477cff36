package topology

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object of the JSON Schema.
type object = map[string]any

// word is free text.
type word struct {
	mark
	v string
}

func (w *word) parse(text string) error { w.v = text; return nil }
func (*word) what() string              { return "a text" }
func (*word) schema() object            { return object{"type": "string"} }

// ref names another entry: "eu", or "hubs.eu" where the bare name could mean two things.
type ref struct{ word }

func (*ref) what() string { return "the name of an entry" }

// label is the name of an entry. It becomes part of host names, so it is a DNS label in lower case (RFC 1123 §2.1).
type label struct {
	mark
	v string
}

const (
	labelPattern = `[a-z0-9]([a-z0-9-]*[a-z0-9])?`
	maxLabel     = 59 // of 63, as "-254" is appended for servers
)

func (l *label) parse(text string) error {
	l.v = text
	switch {
	case isLabel(text, false) && len(text) <= maxLabel:
		return nil
	case len(text) > maxLabel:
		return fmt.Errorf("a name has at most %d characters", maxLabel)
	}
	if better := labelFrom(text); better != "" {
		return fmt.Errorf("a name is made of lower-case letters, digits and inner hyphens (write %q)", better)
	}
	return errors.New("a name is made of lower-case letters, digits and inner hyphens")
}

func (*label) what() string { return "a name" }
func (*label) schema() object {
	return object{"type": "string", "pattern": "^" + labelPattern + "$", "maxLength": maxLabel}
}

// isLabel reports whether s is a DNS label in lower case; underscores are for names that are not hosts (RFC 8552).
func isLabel(s string, underscores bool) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && (c != '_' || !underscores) {
			return false
		}
	}
	return true
}

// labelFrom turns a text such as "São Paulo" into the label nearest to it, or "".
func labelFrom(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '_' || r == '.' || r == '-' })
	for i := range words {
		words[i] = cityKey(words[i])
	}
	if l := strings.Join(words, "-"); isLabel(l, false) && len(l) <= maxLabel {
		return l
	}
	return ""
}

// host is a domain name; it is kept in lower case without a trailing dot.
type host struct {
	mark
	v string
}

func (h *host) parse(text string) error {
	h.v = strings.TrimSuffix(strings.ToLower(text), ".")
	return checkHost(h.v)
}

func checkHost(name string) error {
	if _, err := netip.ParseAddr(name); err == nil {
		return fmt.Errorf("%q is an address, not a host name", name)
	}
	if strings.ContainsAny(name, ":/") {
		return fmt.Errorf("%q is not a host name; leave out scheme, port and path", name)
	}
	if len(name) > 253 {
		return errors.New("a host name has at most 253 characters")
	}
	for l := range strings.SplitSeq(name, ".") {
		if !isLabel(l, false) {
			return fmt.Errorf("%q is not a host name: %q is not a label of letters, digits and inner hyphens", name, l)
		}
	}
	return nil
}

func (*host) what() string { return "a host name such as www.cdn.test" }
func (*host) schema() object {
	return object{"type": "string", "pattern": `^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\.?$`, "maxLength": 254}
}

// count is a whole number.
type count struct {
	mark
	v uint64
}

func (c *count) parse(text string) (err error) {
	if c.v, err = strconv.ParseUint(text, 10, 64); err == nil {
		return nil
	}
	switch {
	case strings.HasPrefix(text, "-"):
		return fmt.Errorf("%s is negative; it wants a whole number from 0", text)
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("%s is absurdly large", text)
	}
	return fmt.Errorf("%q is not a whole number", text)
}

func (c *count) amount() float64 { return float64(c.v) }
func (c *count) int() int        { return int(c.v) }
func (*count) what() string      { return "a whole number" }
func (*count) schema() object    { return object{"type": "integer", "minimum": 0} }

// number is a plain number.
type number struct {
	mark
	v float64
}

func (f *number) parse(text string) (err error) {
	if f.v, err = strconv.ParseFloat(text, 64); err != nil || strings.ContainsAny(text, "xXpP_iInN") {
		return fmt.Errorf("%q is not a number", text)
	}
	return nil
}

func (f *number) amount() float64 { return f.v }
func (*number) what() string      { return "a number" }
func (*number) schema() object    { return object{"type": "number"} }

// size, rate, duration and share are numbers with a unit.
type (
	size struct {
		mark
		v Bytes
	}
	rate struct {
		mark
		v Bandwidth
	}
	duration struct {
		mark
		v time.Duration
	}
	share struct {
		mark
		v float64
	}
)

func (s *size) parse(text string) error {
	v, err := sizes.parse(text)
	s.v = Bytes(v)
	return err
}

func (r *rate) parse(text string) error {
	v, err := rates.parse(text)
	r.v = Bandwidth(v)
	return err
}

func (d *duration) parse(text string) error {
	v, err := durations.parse(text)
	d.v = time.Duration(math.Round(v))
	return err
}

func (s *share) parse(text string) (err error) {
	s.v, err = shares.parse(text)
	return err
}

func (s *size) amount() float64     { return float64(s.v) }
func (r *rate) amount() float64     { return float64(r.v) }
func (d *duration) amount() float64 { return float64(d.v) }
func (s *share) amount() float64    { return s.v }

func (*size) what() string     { return sizes.what() }
func (*rate) what() string     { return rates.what() }
func (*duration) what() string { return durations.what() }
func (*share) what() string    { return shares.what() }

func (*size) schema() object     { return sizes.schema() }
func (*rate) schema() object     { return rates.schema() }
func (*duration) schema() object { return durations.schema() }
func (*share) schema() object    { return shares.schema() }

func (q quantity) schema() object {
	return object{"type": []string{"string", "integer"}, "pattern": q.pattern(), "maximum": 0, "minimum": 0}
}

// address is the address of one server.
type address struct {
	mark
	v netip.Addr
}

func (a *address) parse(text string) error {
	v, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return fmt.Errorf("%q is not an IP address", text)
	case v.Zone() != "" || v.Is4In6() || v.IsUnspecified() || v.IsMulticast():
		return fmt.Errorf("%s is not the address of a server", v)
	}
	a.v = v
	return nil
}

func (*address) what() string   { return "an IP address such as 192.0.2.1" }
func (*address) schema() object { return object{"type": "string"} }

// network is a range of client addresses.
type network struct {
	mark
	v netip.Prefix
}

func (n *network) parse(text string) error {
	v, err := netip.ParsePrefix(text)
	if err != nil {
		if a, err := netip.ParseAddr(text); err == nil {
			return fmt.Errorf("%q has no prefix length (write %s/%d for this address alone)", text, text, a.BitLen())
		}
		return fmt.Errorf("%q is not a network such as 198.51.100.0/24", text)
	}
	switch {
	case v.Addr().Is4In6():
		return fmt.Errorf("%s is an IPv4 network in IPv6 form; write it as IPv4", text)
	case v != v.Masked():
		return fmt.Errorf("%s has bits behind its prefix length; the network is %s", text, v.Masked())
	case v.Bits() == 0:
		return fmt.Errorf("%s is every address; fallback: says where clients are that nothing locates", text)
	case loopback.Overlaps(v):
		return fmt.Errorf("%s lies in %s, which belongs to this machine", text, loopback)
	}
	n.v = v
	return nil
}

var loopback = netip.MustParsePrefix("127.0.0.0/8")

func (*network) what() string   { return "a network such as 198.51.100.0/24" }
func (*network) schema() object { return object{"type": "string", "pattern": `/[0-9]{1,3}$`} }

// appURL is the URL of the user's application.
type appURL struct {
	mark
	v *url.URL
}

func (a *appURL) parse(text string) error {
	u, err := url.Parse(text)
	switch {
	case !strings.Contains(text, "://"):
		return fmt.Errorf("%q does not begin with http:// or https:// (write http://%s)", text, text)
	case err != nil:
		return fmt.Errorf("%q is not a URL such as http://127.0.0.1:3000", text)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%q does not begin with http:// or https://", text)
	case u.Hostname() == "":
		return fmt.Errorf("%q names no host; write it as http://127.0.0.1:3000", text)
	case u.User != nil || u.Fragment != "":
		return fmt.Errorf("%q carries a user or a fragment, which is not sent to an app", text)
	}
	if p := u.Port(); p != "" && !isPort(p) {
		return fmt.Errorf("%q has port %s; ports go from 1 to 65535", text, p)
	}
	a.v = u
	return nil
}

func (*appURL) what() string   { return "a URL such as http://127.0.0.1:3000" }
func (*appURL) schema() object { return object{"type": "string", "pattern": "^https?://[^/?#@]+"} }

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}
