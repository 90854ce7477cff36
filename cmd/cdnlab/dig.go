package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"

	"cdnlab/mgmt"
)

// lookup is one DNS query and what came of it; its JSON form is the output of dig -o json.
type lookup struct {
	Name      string   `json:"name"`
	Type      string   `json:"type"`
	From      string   `json:"from"`
	Server    string   `json:"server"`
	Status    string   `json:"status"`
	Flags     []string `json:"flags"`
	Answer    []record `json:"answer"`
	Authority []record `json:"authority"`
	Subnet    string   `json:"subnet,omitempty"` // that the query carried
	Scope     *int     `json:"scope,omitempty"`  // prefix length that the answer is valid for (RFC 7871)
	MS        float64  `json:"ms"`
	Bytes     int      `json:"bytes"`
}

type record struct {
	Name string `json:"name"`
	TTL  uint32 `json:"ttl"`
	Type string `json:"type"`
	Data string `json:"data"`
	Node string `json:"node,omitempty"` // whose address it is
}

func (a *app) digCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dig NAME [TYPE]",
		Short: "Resolve a name as a client in a city does",
		Long:  "Ask the resolver of a city for NAME and print the answer, each address with the node that has it.",
		Example: `  cdnlab dig www.cdn.test --from tokyo
  cdnlab dig www.cdn.test AAAA --from paris --short`,
		Args: argsAsUsed,
	}
	from := a.fromFlag(cmd)
	short := cmd.Flags().Bool("short", false, "print the data of the answers only")
	tcp := cmd.Flags().Bool("tcp", false, "ask over TCP")
	subnet := cmd.Flags().String("subnet", "", "client `network` to send with the query (EDNS Client Subnet)")
	out := outputFlag(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		query, err := newQuery(args, *subnet)
		if err != nil {
			return err
		}
		_, t, place, err := a.in(cmd.Context(), *from)
		if err != nil {
			return err
		}
		l, err := ask(cmd.Context(), query, place.Resolver, *tcp)
		if err != nil {
			return fmt.Errorf("ask %s's resolver %s: %w", place.Name, place.Resolver, err)
		}
		l.From, l.Subnet = place.Name, *subnet
		l.nameNodes(t)
		switch {
		case *out == formatJSON:
			return printJSON(a.stdout, l)
		case *short:
			for _, r := range l.Answer {
				fmt.Fprintln(a.stdout, r.Data)
			}
			return nil
		}
		_, err = io.WriteString(a.stdout, l.text())
		return err
	}
	return cmd
}

func newQuery(args []string, subnet string) (*dns.Msg, error) {
	kind := dns.TypeA
	if len(args) == 2 {
		var ok bool
		if kind, ok = dns.StringToType[strings.ToUpper(args[1])]; !ok {
			return nil, usageError("dig: no record type %q", args[1])
		}
	}
	if _, ok := dns.IsDomainName(args[0]); !ok {
		return nil, usageError("dig: %q is no domain name", args[0])
	}
	query := new(dns.Msg).SetQuestion(dns.Fqdn(args[0]), kind)
	query.SetEdns0(1232, false)
	if subnet != "" {
		prefix, err := netip.ParsePrefix(subnet)
		if err != nil {
			return nil, usageError("dig: --subnet: want a network such as 198.18.2.0/24, got %q", subnet)
		}
		ecs := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(prefix.Bits()), Address: net.IP(prefix.Masked().Addr().AsSlice())}
		if prefix.Addr().Is6() {
			ecs.Family = 2
		}
		query.IsEdns0().Option = append(query.IsEdns0().Option, ecs)
	}
	return query, nil
}

const (
	queryTimeout = 2 * time.Second
	queryTries   = 3 // datagrams get lost, here on purpose as well
)

// ask sends a query, over TCP when told or when the answer did not fit a datagram.
func ask(ctx context.Context, query *dns.Msg, server string, tcp bool) (*lookup, error) {
	udp := dns.Client{Timeout: queryTimeout}
	for try := 1; !tcp; try++ {
		answer, took, err := udp.ExchangeContext(ctx, query, server)
		var late net.Error
		switch {
		case err == nil && !answer.Truncated:
			return newLookup(answer, server, took), nil
		case err == nil:
			tcp = true
		case ctx.Err() != nil || try == queryTries || !errors.As(err, &late) || !late.Timeout():
			return nil, err
		}
	}
	stream := dns.Client{Net: "tcp", Timeout: queryTimeout}
	answer, took, err := stream.ExchangeContext(ctx, query, server)
	if err != nil {
		return nil, err
	}
	return newLookup(answer, server, took), nil
}

func newLookup(m *dns.Msg, server string, took time.Duration) *lookup {
	q := m.Question[0]
	l := &lookup{Name: q.Name, Type: dns.TypeToString[q.Qtype], Server: server, Status: dns.RcodeToString[m.Rcode],
		Answer: records(m.Answer), Authority: records(m.Ns), MS: float64(took.Microseconds()) / 1000, Bytes: m.Len()}
	for _, f := range []struct {
		set  bool
		name string
	}{{m.Response, "qr"}, {m.Authoritative, "aa"}, {m.Truncated, "tc"}, {m.RecursionDesired, "rd"}, {m.RecursionAvailable, "ra"}} {
		if f.set {
			l.Flags = append(l.Flags, f.name)
		}
	}
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if ecs, ok := o.(*dns.EDNS0_SUBNET); ok {
				scope := int(ecs.SourceScope)
				l.Scope = &scope
			}
		}
	}
	return l
}

func records(rrs []dns.RR) []record {
	list := make([]record, len(rrs))
	for i, rr := range rrs {
		h := rr.Header()
		list[i] = record{Name: h.Name, TTL: h.Ttl, Type: dns.TypeToString[h.Rrtype], Data: strings.TrimPrefix(rr.String(), h.String())}
	}
	return list
}

// nameNodes finds whose address each answer is.
func (l *lookup) nameNodes(t mgmt.Topology) {
	nodes := map[string]string{}
	for _, n := range t.Nodes {
		for _, addr := range n.Public {
			nodes[addr.String()] = cmp.Or(nodes[addr.String()], n.Name)
		}
	}
	for i := range l.Answer {
		l.Answer[i].Node = nodes[l.Answer[i].Data]
	}
}

// text is the answer as a zone file has it, with the rest in comments.
func (l *lookup) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, ";; %s %s from %s: %s (%s)\n", l.Name, l.Type, l.From, l.Status, strings.Join(l.Flags, " "))
	for _, section := range [][]record{l.Answer, l.Authority} {
		for _, r := range section {
			fmt.Fprintf(&b, "%s\t%d\tIN\t%s\t%s", r.Name, r.TTL, r.Type, r.Data)
			if r.Node != "" {
				fmt.Fprintf(&b, "\t; %s", r.Node)
			}
			b.WriteByte('\n')
		}
	}
	if l.Scope != nil {
		fmt.Fprintf(&b, ";; client subnet %s, answer valid for its /%d\n", l.Subnet, *l.Scope)
	}
	fmt.Fprintf(&b, ";; server %s, %s, %d bytes\n", l.Server, millis(l.MS), l.Bytes)
	return b.String()
}
