package dnsredirect

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"cdnlab/topology"
)

// wire builds a message out of hexadecimal pieces; spaces are for the reader.
func wire(t testing.TB, pieces ...string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(strings.ReplaceAll(strings.Join(pieces, ""), " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

const (
	header   = "abcd 0100 0001 0000 0000 0000"
	withOPT  = "abcd 0100 0001 0000 0000 0001"
	question = "03777777 0363646e 0474657374 00 0001 0001" // www.cdn.test A IN
	opt      = "00 0029 04d0 00 00 0000"                   // up to the length of its options
)

// ecs is an OPT record with one client subnet option of the given payload.
func ecs(payload string) string {
	n := len(strings.ReplaceAll(payload, " ", "")) / 2
	h := func(v int) string { return hex.EncodeToString([]byte{byte(v >> 8), byte(v)}) }
	return opt + h(n+4) + "0008" + h(n) + payload
}

const drop = -1

// malformed maps requests, by what is wrong with them, to the RCODE of the response.
var malformed = []struct {
	name  string
	raw   []string
	rcode int
}{
	{"a plain query", []string{header, question}, dns.RcodeSuccess},
	{"empty", nil, drop},
	{"shorter than a header", []string{"abcd 0100 0001 0000 0000 00"}, drop},
	{"a response", []string{"abcd 8100 0001 0000 0000 0000", question}, drop},
	{"a header alone", []string{header}, dns.RcodeFormatError},
	{"no question", []string{"abcd 0100 0000 0000 0000 0000"}, dns.RcodeFormatError},
	{"two questions", []string{"abcd 0100 0002 0000 0000 0000", question, question}, dns.RcodeFormatError},
	{"a label that runs over the end", []string{header, "3f7777"}, dns.RcodeFormatError},
	{"a name without an end", []string{header, "03777777"}, dns.RcodeFormatError},
	{"a question without class", []string{header, "03777777 00 0001"}, dns.RcodeFormatError},
	{"a question that points into the header", []string{header, "c004 0001 0001"}, dns.RcodeFormatError},
	{"a question that points at itself", []string{header, "c00c 0001 0001"}, dns.RcodeFormatError},
	{"a label type that does not exist", []string{header, "4001 00 0001 0001"}, dns.RcodeFormatError},
	{"a name of 256 octets", []string{header, strings.Repeat("3f"+strings.Repeat("61", 63), 4), "00 0001 0001"}, dns.RcodeFormatError},
	{"octets behind the message", []string{header, question, "00"}, dns.RcodeFormatError},
	{"a missing record", []string{withOPT, question}, dns.RcodeFormatError},
	{"a record that is cut off", []string{withOPT, question, "00 0029 04d0"}, dns.RcodeFormatError},
	{"a record with data over the end", []string{withOPT, question, opt, "0004 0008"}, dns.RcodeFormatError},
	{"65535 records that are not there", []string{"abcd 0100 0001 ffff ffff ffff", question}, dns.RcodeFormatError},
	{"an opcode of the past", []string{"abcd 0900 0001 0000 0000 0000", question}, dns.RcodeNotImplemented},
	{"NOTIFY", []string{"abcd 2000 0001 0000 0000 0000", question}, dns.RcodeNotImplemented},
	{"UPDATE", []string{"abcd 2800 0001 0000 0000 0000", question}, dns.RcodeNotImplemented},
	{"EDNS", []string{withOPT, question, opt, "0000"}, dns.RcodeSuccess},
	{"EDNS version 1", []string{withOPT, question, "00 0029 04d0 00 01 0000 0000"}, dns.RcodeBadVers},
	{"two OPT records", []string{"abcd 0100 0001 0000 0000 0002", question, opt, "0000", opt, "0000"}, dns.RcodeFormatError},
	{"OPT with an owner", []string{withOPT, question, "0161 00 0029 04d0 00 00 0000 0000"}, dns.RcodeFormatError},
	{"OPT in the answer section", []string{"abcd 0100 0001 0001 0000 0000", question, opt, "0000"}, dns.RcodeFormatError},
	{"an option without length", []string{withOPT, question, opt, "0003 000a00"}, dns.RcodeFormatError},
	{"an option over the end", []string{withOPT, question, opt, "0004 000a 0008"}, dns.RcodeFormatError},
	{"a cookie, ignored", []string{withOPT, question, opt, "000c 000a 0008 0102030405060708"}, dns.RcodeSuccess},
	{"another record before OPT", []string{"abcd 0100 0001 0000 0000 0002", question, "c00c 0001 0001 00000000 0004 01020304", opt, "0000"}, dns.RcodeSuccess},
	{"subnet of IPv4", []string{withOPT, question, ecs("0001 18 00 c61200")}, dns.RcodeSuccess},
	{"subnet of IPv6", []string{withOPT, question, ecs("0002 38 00 20010db8000000")}, dns.RcodeSuccess},
	{"subnet of no bits", []string{withOPT, question, ecs("0001 00 00")}, dns.RcodeSuccess},
	{"subnet cut short", []string{withOPT, question, ecs("0001 18")}, dns.RcodeFormatError},
	{"subnet of family 0", []string{withOPT, question, ecs("0000 00 00")}, dns.RcodeFormatError},
	{"subnet of family 3", []string{withOPT, question, ecs("0003 08 00 01")}, dns.RcodeFormatError},
	{"subnet of 33 bits of IPv4", []string{withOPT, question, ecs("0001 21 00 c612000080")}, dns.RcodeFormatError},
	{"subnet of 129 bits of IPv6", []string{withOPT, question, ecs("0002 81 00 " + strings.Repeat("20", 17))}, dns.RcodeFormatError},
	{"subnet with a scope", []string{withOPT, question, ecs("0001 18 10 c61200")}, dns.RcodeFormatError},
	{"subnet with too few octets", []string{withOPT, question, ecs("0001 18 00 c612")}, dns.RcodeFormatError},
	{"subnet with too many octets", []string{withOPT, question, ecs("0001 18 00 c6120000")}, dns.RcodeFormatError},
	{"subnet with bits beyond its prefix", []string{withOPT, question, ecs("0001 17 00 c61201")}, dns.RcodeFormatError},
	{"two subnets", []string{withOPT, question, opt, "0016 0008 0007 0001 18 00 c61200 0008 0007 0001 18 00 c61200"}, dns.RcodeFormatError},
	{"class CHAOS", []string{header, "0776657273696f6e 0462696e64 00 0010 0003"}, dns.RcodeRefused},
	{"class ANY", []string{header, "03777777 0363646e 0474657374 00 0001 00ff"}, dns.RcodeRefused},
	{"AXFR", []string{header, "0363646e 0474657374 00 00fc 0001"}, dns.RcodeRefused},
	{"IXFR", []string{"abcd 0000 0001 0000 0001 0000", "0363646e 0474657374 00 00fb 0001", "c00c 0006 0001 00000000 0000"}, dns.RcodeRefused},
}

func TestMalformedRequests(t *testing.T) {
	s := newTestServer(t, nil)
	for _, c := range malformed {
		t.Run(c.name, func(t *testing.T) {
			raw := wire(t, c.raw...)
			var r reply
			out := s.respond(&r, raw, client, overUDP)
			if c.rcode == drop {
				if out != nil {
					t.Fatalf("respond = %x, want nothing", out)
				}
				return
			}
			var m dns.Msg
			if err := m.Unpack(out); err != nil {
				t.Fatalf("respond = %x: %v", out, err)
			}
			if m.Rcode != c.rcode || m.Id != 0xabcd || !m.Response || m.RecursionAvailable {
				t.Errorf("respond = %v, want RCODE %s and ID 43981", &m, dns.RcodeToString[c.rcode])
			}
			if want := int(raw[2] >> 3 & 0xf); m.Opcode != want {
				t.Errorf("opcode = %d, want the request's %d", m.Opcode, want)
			}
			if c.rcode == dns.RcodeBadVers && m.IsEdns0().Version() != 0 {
				t.Errorf("BADVERS names version %d, want 0", m.IsEdns0().Version())
			}
		})
	}
}

func FuzzRespond(f *testing.F) {
	for _, c := range malformed {
		f.Add(wire(f, c.raw...), false)
	}
	s := newTestServer(f, func(c *Config) {
		c.Topology.Records = slices.DeleteFunc(c.Topology.Records, func(r topology.Record) bool { return strings.HasPrefix(r.Name, "circ") })
	})
	var r reply
	f.Fuzz(func(t *testing.T, raw []byte, tcp bool) {
		out := s.respond(&r, raw, client, transport(tcp))
		if out == nil {
			if len(raw) >= headerLen && raw[2]&0x80 == 0 {
				t.Fatalf("no response to the request %x", raw)
			}
			return
		}
		if !tcp && len(out) > maxUDP {
			t.Fatalf("response of %d octets over UDP", len(out))
		}
		var m dns.Msg
		if err := m.Unpack(out); err != nil {
			t.Fatalf("response %x to %x: %v", out, raw, err)
		}
		if !m.Response || out[0] != raw[0] || out[1] != raw[1] || m.Rcode == dns.RcodeServerFailure {
			t.Fatalf("response %v to %x", &m, raw)
		}
	})
}
