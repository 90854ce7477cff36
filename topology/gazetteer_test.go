package topology

import (
	"math"
	"regexp"
	"strings"
	"testing"
)

func TestFindCityBySpelling(t *testing.T) {
	for spelling, want := range map[string]string{
		"Paris": "Paris", "PARIS": "Paris", " paris ": "Paris", "CDG": "Paris", "cdg": "Paris", "PAR": "Paris",
		"São Paulo": "Sao Paulo", "sao-paulo": "Sao Paulo", "SaoPaulo": "Sao Paulo", "GRU": "Sao Paulo",
		"new-york": "New York", "New York City": "New York", "NYC": "New York", "st-louis": "St. Louis", "Saint Louis": "St. Louis",
		"Zürich": "Zurich", "Kobenhavn": "Copenhagen", "København": "Copenhagen", "Köln": "Cologne", "xian": "Xi'an",
		"Saigon": "Ho Chi Minh City", "Bengaluru": "Bangalore", "san-jose-costa-rica": "San Jose (Costa Rica)",
	} {
		if got, ok := FindCity(spelling); !ok || got.City != want {
			t.Errorf("FindCity(%q) = %q, %v, want %q", spelling, got.City, ok, want)
		}
	}
	for _, unknown := range []string{"", "-", "atlantis", "XXX"} {
		if got, ok := FindCity(unknown); ok {
			t.Errorf("FindCity(%q) = %q, want none", unknown, got.City)
		}
	}
}

func TestSuggestCity(t *testing.T) {
	for typed, want := range map[string]string{
		"Ashbrun": "Ashburn", "pairs": "Paris", "sao-paolo": "Sao Paulo", "Singapur": "Singapore", "fran": "Frankfurt",
		"FRX": "FRA", "main": "", "ap": "", "": "", strings.Repeat("x", 1000): "",
	} {
		if got := SuggestCity(typed); got != want {
			t.Errorf("SuggestCity(%.20q) = %q, want %q", typed, got, want)
		}
	}
}

func TestGazetteerIsPlausible(t *testing.T) {
	all := Cities()
	if len(all) < 220 {
		t.Errorf("%d cities, want at least 220", len(all))
	}
	code, country := regexp.MustCompile(`^[A-Z]{3}$`), regexp.MustCompile(`^[A-Z]{2}$`)
	keys := make(map[string]string)
	continents := make(map[string]int)
	for _, c := range all {
		if !code.MatchString(c.IATA) || !country.MatchString(c.Country) || math.Abs(c.Lat) > 70 || math.Abs(c.Lon) > 180 {
			t.Errorf("implausible: %+v", c)
		}
		continents[c.Continent]++
		for _, name := range []string{c.City, c.IATA} {
			if other, taken := keys[cityKey(name)]; taken {
				t.Errorf("%q names both %s and %s", name, other, c.City)
			}
			keys[cityKey(name)] = c.City
			if got, _ := FindCity(name); got != c {
				t.Errorf("FindCity(%q) = %+v, want %+v", name, got, c)
			}
		}
		for _, other := range all {
			if other != c && DistanceKM(c, other) < 5 {
				t.Errorf("%s and %s are %.1f km apart", c.City, other.City, DistanceKM(c, other))
			}
		}
	}
	for _, name := range []string{"AF", "AS", "EU", "NA", "OC", "SA"} {
		if continents[name] < 10 {
			t.Errorf("%d cities in %s", continents[name], name)
		}
	}
	if len(continents) != 6 {
		t.Errorf("continents %v", continents)
	}
	spellings := make(map[string]bool)
	for _, name := range cities().names {
		if spellings[cityKey(name)] {
			t.Errorf("%q is given twice", name)
		}
		spellings[cityKey(name)] = true
	}
}
