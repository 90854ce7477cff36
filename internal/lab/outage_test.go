package lab_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"cdnlab/mgmt"
)

func TestADNSServerThatIsDownIsNotMissed(t *testing.T) {
	l := startLab(t, "three-continents")
	place, _ := l.Plan().Place("tokyo")
	ask := func(server, network string) error {
		c := dns.Client{Net: network, Timeout: patience}
		answer, _, err := c.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion(l.site+".", dns.TypeA), server)
		if err != nil {
			return err
		}
		if len(answer.Answer) != 2 {
			return fmt.Errorf("answered %v, want both servers of tokyo", answer.Answer)
		}
		return nil
	}
	for _, down := range []string{"dns-1", "dns-2"} {
		f := l.breaks(t, mgmt.FaultSpec{Target: down, Down: true})
		for _, network := range []string{"udp", "tcp"} {
			for range 4 {
				if err := ask(place.Resolver.String(), network); err != nil {
					t.Errorf("%s down: the city's resolver over %s: %v", down, network, err)
				}
			}
		}
		if resp, _ := l.get(t, l.client(t, place), "http://"+l.site+"/hello.txt"); resp.StatusCode != http.StatusOK {
			t.Errorf("%s down: the gateway answered %s", down, resp.Status)
		}
		l.mends(t, f)
	}
}

func TestTheGatewayTriesTheOtherServerOfAPoP(t *testing.T) {
	l := startLab(t, "three-continents")
	place, _ := l.Plan().Place("tokyo")
	c := l.client(t, place)
	l.breaks(t, mgmt.FaultSpec{Target: "tokyo-1", Down: true})
	for i := range 6 { // before the health checks have noticed
		resp, body := l.get(t, c, fmt.Sprintf("http://%s/hello.txt?%d", l.site, i))
		if resp.StatusCode != http.StatusOK || !strings.HasSuffix(resp.Header.Get("X-Cache"), "tokyo-2") {
			t.Errorf("request %d: %s by %q, want tokyo-2\n%s", i, resp.Status, resp.Header.Get("X-Cache"), body)
		}
	}
	l.breaks(t, mgmt.FaultSpec{Target: "tokyo-2", Down: true})
	waitFor(t, "an answer from another PoP", func() error {
		resp, err := c.Get("http://" + l.site + "/hello.txt")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK || strings.Contains(resp.Header.Get("X-Cache"), "tokyo") {
			return fmt.Errorf("%s by %q", resp.Status, resp.Header.Get("X-Cache"))
		}
		return nil
	})
}

func TestWithoutAnyEdgeTheOriginAnswers(t *testing.T) {
	l := startLab(t, "tiny")
	c := l.client(t, l.place)
	f := l.breaks(t, mgmt.FaultSpec{Target: "paris", Down: true})
	waitFor(t, "an answer by the origin", func() error {
		resp, err := c.Get("http://" + l.site + "/hello.txt")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Cache") != "" {
			return fmt.Errorf("%s, X-Cache %q", resp.Status, resp.Header.Get("X-Cache"))
		}
		return nil
	})
	l.mends(t, f)
	waitFor(t, "an answer by the edge", func() error {
		resp, err := c.Get("http://" + l.site + "/hello.txt")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if !strings.HasSuffix(resp.Header.Get("X-Cache"), "paris-1") {
			return fmt.Errorf("%s, X-Cache %q", resp.Status, resp.Header.Get("X-Cache"))
		}
		return nil
	})
}
