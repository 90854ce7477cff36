package dnsredirect

import (
	"encoding/binary"
	"net/netip"

	"github.com/miekg/dns"
)

// query is a request as far as an authoritative server cares for it.
type query struct {
	id     uint16
	opcode int
	rd, cd bool

	asked bool // the question could be read
	name  string
	qtype uint16
	class uint16

	edns    bool
	version uint8
	size    uint16
	do      bool
	nsid    bool
	subnet  *subnet
}

// subnet is a client subnet option (RFC 7871 §6).
type subnet struct {
	family uint16
	source uint8 // SOURCE PREFIX-LENGTH
	addr   netip.Addr
}

const (
	headerLen = 12
	bitQR     = 1 << 15
	bitRD     = 1 << 8
	bitCD     = 1 << 4
)

// The address families of RFC 7871 §6.
const (
	familyIPv4 = 1
	familyIPv6 = 2
)

// parse reads a request. It reports false for what must not be answered: responses, and what is too short to have an
// identifier. The RCODE is what is wrong with the request, or success.
func parse(raw []byte) (q query, rcode int, ok bool) {
	if len(raw) < headerLen {
		return q, 0, false
	}
	bits := binary.BigEndian.Uint16(raw[2:])
	if bits&bitQR != 0 {
		return q, 0, false
	}
	q.id, q.opcode, q.rd, q.cd = binary.BigEndian.Uint16(raw), int(bits>>11&0xf), bits&bitRD != 0, bits&bitCD != 0
	if q.opcode != dns.OpcodeQuery {
		return q, dns.RcodeNotImplemented, true
	}
	if !q.parseSections(raw) {
		return q, dns.RcodeFormatError, true
	}
	return q, dns.RcodeSuccess, true
}

// parseSections reports whether the message is well formed: exactly one question, whole records, at most one OPT record and
// that one in the additional section (RFC 6891 §6.1.1), nothing behind.
func (q *query) parseSections(raw []byte) bool {
	count := func(i int) int { return int(binary.BigEndian.Uint16(raw[4+2*i:])) }
	if count(0) != 1 {
		return false
	}
	off, ok := q.parseQuestion(raw)
	if !ok {
		return false
	}
	early := count(1) + count(2)
	for i := range early + count(3) {
		if off, ok = q.parseRecord(raw, off, i >= early); !ok {
			return false
		}
	}
	return off == len(raw)
}

func (q *query) parseQuestion(raw []byte) (off int, ok bool) {
	off, ok = labels(raw, headerLen)
	if !ok || raw[off] != 0 || off+5 > len(raw) {
		return 0, false
	}
	name, off, err := dns.UnpackDomainName(raw, headerLen)
	if err != nil {
		return 0, false
	}
	q.asked, q.name = true, name
	q.qtype, q.class = binary.BigEndian.Uint16(raw[off:]), binary.BigEndian.Uint16(raw[off+2:])
	return off + 4, true
}

// labels returns where the labels of the name at off end: at the root label, or at a compression pointer.
func labels(raw []byte, off int) (int, bool) {
	for off < len(raw) {
		n := int(raw[off])
		if n == 0 || n&0xc0 == 0xc0 {
			return off, true
		}
		if n&0xc0 != 0 {
			return 0, false
		}
		off += 1 + n
	}
	return 0, false
}

// skipName returns where the name at off ends.
func skipName(raw []byte, off int) (int, bool) {
	end, ok := labels(raw, off)
	if !ok {
		return 0, false
	}
	if raw[end] == 0 {
		return end + 1, true
	}
	return end + 2, end+2 <= len(raw)
}

func (q *query) parseRecord(raw []byte, off int, additional bool) (int, bool) {
	start := off
	off, ok := skipName(raw, off)
	if !ok || off+10 > len(raw) {
		return 0, false
	}
	rtype, class, ttl := binary.BigEndian.Uint16(raw[off:]), binary.BigEndian.Uint16(raw[off+2:]), binary.BigEndian.Uint32(raw[off+4:])
	data := off + 10
	end := data + int(binary.BigEndian.Uint16(raw[off+8:]))
	if end > len(raw) {
		return 0, false
	}
	if rtype != dns.TypeOPT {
		return end, true
	}
	if q.edns || !additional || raw[start] != 0 {
		return 0, false
	}
	q.edns, q.size, q.version, q.do = true, class, uint8(ttl>>16), ttl&(1<<15) != 0
	return end, q.parseOptions(raw[data:end])
}

func (q *query) parseOptions(opt []byte) bool {
	for len(opt) > 0 {
		if len(opt) < 4 {
			return false
		}
		code, n := binary.BigEndian.Uint16(opt), int(binary.BigEndian.Uint16(opt[2:]))
		if 4+n > len(opt) {
			return false
		}
		data := opt[4 : 4+n]
		opt = opt[4+n:]
		switch code {
		case dns.EDNS0SUBNET:
			s, ok := parseSubnet(data)
			if !ok || q.subnet != nil {
				return false
			}
			q.subnet = s
		case dns.EDNS0NSID:
			q.nsid = true
		}
	}
	return true
}

// parseSubnet reads a client subnet option. It reports false for what RFC 7871 §7.2.1 has answered with FORMERR: an unknown
// family, a prefix longer than the family's addresses, a scope other than zero, more or fewer address octets than the prefix
// takes, and bits set beyond it.
func parseSubnet(data []byte) (*subnet, bool) {
	if len(data) < 4 {
		return nil, false
	}
	s := &subnet{family: binary.BigEndian.Uint16(data), source: data[2]}
	var full [16]byte
	octets := full[:]
	switch s.family {
	case familyIPv4:
		octets = full[:4]
	case familyIPv6:
	default:
		return nil, false
	}
	given := data[4:]
	if int(s.source) > 8*len(octets) || data[3] != 0 || len(given) != (int(s.source)+7)/8 {
		return nil, false
	}
	copy(octets, given)
	s.addr, _ = netip.AddrFromSlice(octets)
	prefix, err := s.addr.Prefix(int(s.source))
	return s, err == nil && prefix.Addr() == s.addr
}

// scope turns the scope of an answer about the unmapped address into one about the address as the option has it.
func (s *subnet) scope(of int) uint8 {
	if of > 0 && s.addr.Is4In6() {
		of += 96
	}
	return uint8(of)
}
