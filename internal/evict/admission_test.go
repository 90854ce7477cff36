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
		if got := SizeLimit(100).Admit(Candidate{Size: size}); got != want {
			t.Errorf("SizeLimit(100).Admit(%d) = %v, want %v", size, got, want)
		}
	}
}

func TestLeaveCopyDown(t *testing.T) {
	for _, test := range []struct {
		name string
		c    Candidate
		want bool
	}{
		{"the tier above had to fetch it", Candidate{}, false},
		{"the tier above had it", Candidate{Above: true}, true},
		{"a new version of what is held", Candidate{Held: true}, true},
	} {
		if got := (LeaveCopyDown{}).Admit(test.c); got != test.want {
			t.Errorf("%s: Admit() = %v, want %v", test.name, got, test.want)
		}
	}
}

// A new version of an object takes the place of the old one, unless it is too large.
func TestAdmissionOfWhatIsHeld(t *testing.T) {
	never, err := NewChance(0, 0, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		filter Admission
		want   bool
	}{
		"second-hit":  {newDoorkeeper(t, 10), true},
		"probability": {never, true},
		"size":        {SizeLimit(10), false},
	} {
		if got := test.filter.Admit(Candidate{Hash: mix(1), Size: 11, Held: true}); got != test.want {
			t.Errorf("%s: Admit() = %v, want %v", name, got, test.want)
		}
	}
}

// Each name is a filter of its own: it treats some of these candidates otherwise than all others do.
func TestNewAdmission(t *testing.T) {
	candidates := []Candidate{{Hash: mix(1), Size: 10}, {Hash: mix(1), Size: 10}, {Hash: mix(2), Size: 11, Above: true}, {Hash: mix(3), Size: 11}}
	want := map[string]string{"": "yyyy", "always": "yyyy", "second-hit": "nynn", "leave-copy-down": "nnyn", "size": "yynn", "probability": "nnnn"}
	for _, name := range append(AdmissionNames(), "") {
		filter, err := NewAdmission(AdmissionConfig{Name: name, Size: 10, Remember: 10, Rand: rand.New(rand.NewPCG(1, 2))})
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		got := ""
		for _, c := range candidates {
			if filter.Admit(c) {
				got += "y"
			} else {
				got += "n"
			}
		}
		if got != want[name] {
			t.Errorf("%q admits %s, want %s", name, got, want[name])
		}
	}
	for _, c := range []AdmissionConfig{{Name: "none"}, {Name: "size"}, {Name: "second-hit"}, {Name: "probability", Probability: 2}} {
		if _, err := NewAdmission(c); err == nil {
			t.Errorf("NewAdmission(%+v) = nil error", c)
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
				if c.Admit(Candidate{Hash: i, Size: test.size}) {
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
		if got := d.Admit(Candidate{Hash: mix(1)}); got != want {
			t.Errorf("request %d: Admit() = %v, want %v", i, got, want)
		}
	}
	if d.Admit(Candidate{Hash: mix(2)}) {
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
			d.Admit(Candidate{Hash: mix(0)})
			for seen, i := 0, uint64(1); seen < test.others; i++ {
				if !d.Admit(Candidate{Hash: mix(i)}) {
					seen++ // a false positive is not remembered
				}
				if test.usedMeanwhile && seen == test.others*3/4 {
					d.Admit(Candidate{Hash: mix(0)})
				}
			}
			if got := d.Admit(Candidate{Hash: mix(0)}); got != test.want {
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
				d.Admit(Candidate{Hash: mix(i)})
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
	if got := testing.AllocsPerRun(1000, func() { i++; d.Admit(Candidate{Hash: mix(i)}) }); got != 0 {
		t.Errorf("Admit() allocates %v times, want 0", got)
	}
}

func BenchmarkDoorkeeper(b *testing.B) {
	requests := zipf()
	d := newDoorkeeper(b, benchCache)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		d.Admit(Candidate{Hash: mix(uint64(requests[i]))})
		i = (i + 1) & (len(requests) - 1)
	}
}
