package evict

import (
	"math"
	"math/rand/v2"
	"testing"
)

func newDoorkeeper(tb testing.TB, remember int) *Doorkeeper {
	tb.Helper()
	d, err := NewDoorkeeper(remember)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func TestSizeLimit(t *testing.T) {
	for size, want := range map[int64]bool{0: true, 100: true, 101: false} {
		if got := SizeLimit(100).Admit(1, size); got != want {
			t.Errorf("SizeLimit(100).Admit(1, %d) = %v, want %v", size, got, want)
		}
	}
}

func TestChance(t *testing.T) {
	const rounds = 100_000
	tests := []struct {
		name     string
		p, scale float64
		size     int64
		want     float64
	}{
		{"never", 0, 0, 1, 0},
		{"always, whatever the size", 1, 0, math.MaxInt64, 1},
		{"a quarter", 0.25, 0, 1000, 0.25},
		{"as large as the scale", 1, 1000, 1000, 1 / math.E},
		{"nothing in size", 1, 1000, 0, 1},
		{"both", 0.5, 1000, 2000, 0.5 / math.E / math.E},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := NewChance(test.p, test.scale, rand.New(rand.NewPCG(5, 6)))
			if err != nil {
				t.Fatal(err)
			}
			admitted := 0
			for i := range uint64(rounds) {
				if c.Admit(i, test.size) {
					admitted++
				}
			}
			if got := float64(admitted) / rounds; math.Abs(got-test.want) > 0.005 {
				t.Errorf("admitted %v of %d, want %v", got, rounds, test.want)
			}
		})
	}
}

func TestAdmissionRejects(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	chance := func(p, scale float64, rng *rand.Rand) error {
		_, err := NewChance(p, scale, rng)
		return err
	}
	_, none := NewDoorkeeper(0)
	for name, err := range map[string]error{
		"a probability above 1":           chance(1.1, 0, rng),
		"a probability below 0":           chance(-0.1, 0, rng),
		"a probability that is no number": chance(math.NaN(), 0, rng),
		"a scale below 0":                 chance(1, -1, rng),
		"a scale that is no number":       chance(1, math.NaN(), rng),
		"no source of chance":             chance(1, 0, nil),
		"a doorkeeper without memory":     none,
	} {
		if err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestDoorkeeperAdmitsAtTheSecondRequest(t *testing.T) {
	d := newDoorkeeper(t, 1000)
	for i, want := range []bool{false, true, true} {
		if got := d.Admit(mix(1), 1); got != want {
			t.Errorf("request %d: Admit() = %v, want %v", i, got, want)
		}
	}
	if d.Admit(mix(2), 1) {
		t.Error("Admit() of another = true, want false")
	}
}

func TestDoorkeeperAges(t *testing.T) {
	const remember = 1000
	tests := []struct {
		name          string
		others        int // between the first and the second request
		usedMeanwhile bool
		want          bool
	}{
		{"in the present filter", remember - 1, false, true},
		{"in the former filter", remember, false, true},
		{"at the end of the former filter", 2*remember - 1, false, true},
		{"forgotten", 2 * remember, false, false},
		{"a request in between renews it", 2 * remember, true, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := newDoorkeeper(t, remember)
			d.Admit(mix(0), 1)
			for seen, i := 0, uint64(1); seen < test.others; i++ {
				if !d.Admit(mix(i), 1) {
					seen++ // a false positive is not remembered
				}
				if test.usedMeanwhile && seen == test.others*3/4 {
					d.Admit(mix(0), 1)
				}
			}
			if got := d.Admit(mix(0), 1); got != test.want {
				t.Errorf("Admit() after %d others = %v, want %v", test.others, got, test.want)
			}
		})
	}
}

func TestDoorkeeperFalsePositives(t *testing.T) {
	const remember = 100_000
	for _, test := range []struct {
		name  string
		asked uint64
		most  float64
	}{
		{"one filter full", remember, 0.0025},
		{"both full", 2 * remember, 0.005},
		{"after ten rotations", 10 * remember, 0.005},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDoorkeeper(t, remember)
			for i := range test.asked {
				d.Admit(mix(i), 1)
			}
			wrong := 0
			for i := range uint64(remember) {
				hash := mix(i + 1<<40)
				if d.present.has(hash) || d.former.has(hash) {
					wrong++
				}
			}
			got := float64(wrong) / remember
			t.Logf("%.5f", got)
			if got > test.most {
				t.Errorf("%v of what was never asked for is known, want at most %v", got, test.most)
			}
		})
	}
}

func TestDoorkeeperAllocatesNothing(t *testing.T) {
	d := newDoorkeeper(t, 100)
	i := uint64(0)
	if got := testing.AllocsPerRun(1000, func() { i++; d.Admit(mix(i), 1) }); got != 0 {
		t.Errorf("Admit() allocates %v times, want 0", got)
	}
}

func BenchmarkDoorkeeper(b *testing.B) {
	requests := zipf()
	d := newDoorkeeper(b, benchCache)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		d.Admit(mix(uint64(requests[i])), 1)
		i = (i + 1) & (len(requests) - 1)
	}
}
