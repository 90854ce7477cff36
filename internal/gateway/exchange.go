package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const udpSize = 1232 // DNS flag day 2020

// turns are how long one DNS server has for its answer before the next is asked: each once, and those that were silent once more with
// longer time, in all less than the 5 s that clients wait for their resolver. A datagram may be lost, and a busy machine late.
var turns = [...]time.Duration{400 * time.Millisecond, 1600 * time.Millisecond}

// ask asks one DNS server. What does not answer the query is no reply (RFC 5452 §9.1): on UDP, where anybody can send it, ask
// waits on for one that does; on TCP it is an error.
func ask(ctx context.Context, network string, server netip.AddrPort, q *dns.Msg, timeout time.Duration) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	d := net.Dialer{}
	raw, err := d.DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	conn := dns.Conn{Conn: raw, UDPSize: dns.DefaultMsgSize}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })() // fails on a closed connection alone
	q = q.Copy()
	q.Id = dns.Id() // a client's own could be guessed
	if err := conn.WriteMsg(q); err != nil {
		return nil, err
	}
	for {
		packet, err := conn.ReadMsgHeader(nil)
		if err != nil && !errors.Is(err, dns.ErrShortRead) {
			return nil, err
		}
		resp := new(dns.Msg)
		if err == nil {
			err = resp.Unpack(packet)
		}
		if err == nil && answers(resp, q) {
			return resp, nil
		}
		if network != "udp" {
			return nil, fmt.Errorf("%s answered something else than it was asked", server)
		}
	}
}

func answers(resp, q *dns.Msg) bool {
	if resp.Id != q.Id || !resp.Response || resp.Opcode != q.Opcode || len(resp.Question) != len(q.Question) {
		return false
	}
	for i, asked := range q.Question {
		got := resp.Question[i]
		if got.Qtype != asked.Qtype || got.Qclass != asked.Qclass || !strings.EqualFold(got.Name, asked.Name) {
			return false
		}
	}
	return true
}
