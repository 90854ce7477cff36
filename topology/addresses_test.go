package topology

import (
	"net/netip"
	"strings"
	"testing"
)

const apart = `
origins:   { main: { at: Ashburn, addresses: [10.77.1.1] } }
edges:     { paris: { addresses: [[10.77.30.1]] } }
clients:   { paris: {}, tokyo: {} }
addresses: { admin: 10.77.5.1, gateway: 10.77.5.2 }
`

func TestAGatewayWithAnAddressHasThePortsOfAllPlaces(t *testing.T) {
	top, err := Parse("x.yaml", []byte(apart), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := netip.MustParseAddr("10.77.5.1"); top.Admin != want {
		t.Errorf("Admin = %v, want %v", top.Admin, want)
	}
	plan, err := top.Plan(PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := plan.Place("tokyo")
	want := Place{Name: "tokyo", Resolver: netip.MustParseAddrPort("10.77.5.2:8054"), Gateway: netip.MustParseAddrPort("10.77.5.2:3130")}
	if got != want {
		t.Errorf("Place(tokyo) = %+v, want %+v", got, want)
	}
}

func TestAGatewayWithoutPortsForAllPlacesIsRefused(t *testing.T) {
	top, err := Parse("x.yaml", []byte(apart), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, opt := range []PlanOptions{{DNSPort: 65535}, {GatewayPort: 65534}} {
		if _, err := top.Plan(opt); err == nil || !strings.Contains(err.Error(), "start lower") {
			t.Errorf("Plan(%+v) = %v, want an error that says to start lower", opt, err)
		}
	}
}
