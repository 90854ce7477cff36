package topology

import (
	_ "embed"
	"encoding/csv"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// citiesCSV holds name, IATA code of the main airport, country (ISO 3166-1 alpha-2), continent, latitude and longitude of
// the city's centre in degrees, and further names and codes separated by semicolons.
//
//go:embed cities.csv
var citiesCSV string

// gazetteer is the embedded table of cities.
type gazetteer struct {
	cities []Location
	byKey  map[string]int // by name, code and further names, as folded by cityKey
	names  []string       // all of these as they are written, for suggestions
}

var cities = sync.OnceValue(func() *gazetteer {
	rows, err := csv.NewReader(strings.NewReader(citiesCSV)).ReadAll()
	if err != nil {
		panic("topology: embedded cities.csv: " + err.Error())
	}
	g := &gazetteer{byKey: make(map[string]int, 3*len(rows))}
	for i, row := range rows[1:] {
		lat, latErr := strconv.ParseFloat(row[4], 64)
		lon, lonErr := strconv.ParseFloat(row[5], 64)
		if latErr != nil || lonErr != nil {
			panic("topology: embedded cities.csv: no coordinates for " + row[0])
		}
		g.cities = append(g.cities, Location{
			City: row[0], IATA: row[1], Country: row[2], Continent: row[3], Lat: lat, Lon: lon,
		})
		g.add(i, row[0], row[1])
		if row[6] != "" {
			g.add(i, strings.Split(row[6], ";")...)
		}
	}
	return g
})

func (g *gazetteer) add(city int, names ...string) {
	for _, name := range names {
		g.byKey[cityKey(name)] = city
		g.names = append(g.names, name)
	}
}

// FindCity finds a city by its name or by the IATA code of an airport of its. Case, accents, spaces, hyphens and other
// punctuation do not matter: "são paulo", "Sao-Paulo" and "GRU" are the same place.
func FindCity(name string) (Location, bool) {
	g := cities()
	i, ok := g.byKey[cityKey(name)]
	if !ok {
		return Location{}, false
	}
	return g.cities[i], true
}

// Cities lists the gazetteer.
func Cities() []Location { return append([]Location(nil), cities().cities...) }

// SuggestCity returns the name in the gazetteer, or the code if it is as long as one, that name most likely means, or "".
func SuggestCity(name string) string {
	names := cities().names
	if len(name) != 3 {
		names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return len(n) == 3 })
	}
	return nearest(name, names, cityKey)
}

// foldLatin spells out the Latin letters that Unicode does not decompose into a base letter and an accent.
var foldLatin = strings.NewReplacer("ø", "o", "ł", "l", "đ", "d", "ß", "ss", "æ", "ae", "œ", "oe", "ı", "i")

// cityKey reduces a name to its lower-case letters and digits without accents.
func cityKey(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, norm.NFD.String(foldLatin.Replace(strings.ToLower(name))))
}
