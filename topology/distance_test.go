package topology

import (
	"math"
	"testing"
	"time"
)

// city is a place of the gazetteer.
func city(t *testing.T, name string) Location {
	t.Helper()
	l, ok := FindCity(name)
	if !ok {
		t.Fatalf("no city %q", name)
	}
	return l
}

func TestDistanceAgreesWithPublishedGreatCircles(t *testing.T) {
	for _, c := range []struct {
		a, b string
		km   float64
	}{
		{"Paris", "London", 344}, {"New York", "London", 5570}, {"Tokyo", "Los Angeles", 8815},
		{"Sydney", "Santiago", 11340}, {"Singapore", "Frankfurt", 10260}, {"Auckland", "Honolulu", 7080},
	} {
		if got := DistanceKM(city(t, c.a), city(t, c.b)); math.Abs(got-c.km) > 0.005*c.km {
			t.Errorf("%s to %s: %.0f km, want about %.0f", c.a, c.b, got, c.km)
		}
	}
	if got := DistanceKM(Location{Lat: 90}, Location{Lat: -90}); math.Abs(got-math.Pi*earthRadius) > 1 {
		t.Errorf("pole to pole: %.0f km", got)
	}
	if got := DistanceKM(Location{Lat: 0, Lon: 179.5}, Location{Lat: 0, Lon: -179.5}); math.Abs(got-111.2) > 0.1 {
		t.Errorf("across the date line: %.1f km", got)
	}
}

func TestFibreRTT(t *testing.T) {
	paris, london, tokyo, york := city(t, "Paris"), city(t, "London"), city(t, "Tokyo"), city(t, "New York")
	for _, c := range []struct {
		name string
		a, b Location
		want time.Duration
	}{
		{"same city", paris, paris, time.Millisecond},
		{"neighbours", paris, london, 6100 * time.Microsecond},
		{"across an ocean", york, london, 84200 * time.Microsecond},
		{"across a continent", paris, tokyo, 146 * time.Millisecond},
	} {
		if got := FibreRTT(c.a, c.b); got < c.want-200*time.Microsecond || got > c.want+200*time.Microsecond {
			t.Errorf("%s: %v, want about %v", c.name, got, c.want)
		}
	}
	all := Cities()
	for i, a := range all {
		for _, b := range all[i:] {
			there, back := FibreRTT(a, b), FibreRTT(b, a)
			if there != back || there < time.Millisecond || there > 310*time.Millisecond || there%(100*time.Microsecond) != 0 {
				t.Fatalf("%s and %s: %v and %v", a.City, b.City, there, back)
			}
		}
	}
}
