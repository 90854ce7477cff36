package experiment

import (
	"fmt"
	"math"
	"math/rand/v2"

	"cdnlab/topology"
)

// sequence decides what each request of a workload asks for, and from where. It holds no state: the n-th request is the same
// whenever it is made.
type sequence struct {
	load   topology.Workload
	seed   uint64
	shares []float64 // of the places, summed up
	zipf   zipf
}

func newSequence(load topology.Workload, seed uint64, index int) *sequence {
	s := &sequence{load: load, seed: seed ^ uint64(index+1)*0x9e3779b97f4a7c15}
	sum := 0.0
	for _, p := range load.From {
		sum += p.Share
		s.shares = append(s.shares, sum)
	}
	if load.Path == "" {
		s.zipf = newZipf(load.Zipf, load.Objects)
	}
	return s
}

// request returns the n-th request, from 0: the index of its place in the workload's From, and its path.
func (s *sequence) request(n uint64) (place int, path string) {
	rng := rand.New(rand.NewPCG(s.seed, n))
	at := rng.Float64() * s.shares[len(s.shares)-1]
	for place < len(s.shares)-1 && s.shares[place] <= at {
		place++
	}
	if s.load.Path != "" {
		return place, s.load.Path
	}
	return place, s.object(s.zipf.draw(rng))
}

// object is the path of an object by its rank, from 1.
func (s *sequence) object(id uint64) string {
	return fmt.Sprintf("/synthetic/%dB/%d", s.size(id), id)
}

// size is that of an object: spread evenly over the orders of magnitude between the smallest and the largest.
func (s *sequence) size(id uint64) int64 {
	low, high := float64(s.load.Size[0]), float64(s.load.Size[1])
	if low == high || low <= 0 {
		return int64(s.load.Size[0])
	}
	u := rand.New(rand.NewPCG(s.seed, ^id)).Float64()
	return int64(math.Round(low * math.Pow(high/low, u)))
}

// zipf draws 1…n, k with a probability in proportion to 1/k^exponent, by rejection-inversion (Hörmann and Derflinger,
// "Rejection-inversion to generate variates from monotone discrete distributions", 1996): no table, any exponent from 0.
type zipf struct {
	n                 float64
	exponent          float64
	first, last, skip float64
}

func newZipf(exponent float64, n uint64) zipf {
	z := zipf{n: float64(n), exponent: exponent}
	z.first = z.integral(1.5) - 1
	z.last = z.integral(z.n + 0.5)
	z.skip = 2 - z.inverse(z.integral(2.5)-math.Pow(2, -exponent))
	return z
}

func (z zipf) draw(rng *rand.Rand) uint64 {
	for {
		u := z.last + rng.Float64()*(z.first-z.last)
		x := z.inverse(u)
		k := min(max(math.Floor(x+0.5), 1), z.n)
		if k-x <= z.skip || u >= z.integral(k+0.5)-math.Pow(k, -z.exponent) {
			return uint64(k)
		}
	}
}

// integral is that of x^-exponent, up to a constant.
func (z zipf) integral(x float64) float64 {
	l := math.Log(x)
	return expm1Over((1-z.exponent)*l) * l
}

func (z zipf) inverse(x float64) float64 {
	t := max(x*(1-z.exponent), -1)
	return math.Exp(log1pOver(t) * x)
}

// expm1Over is (e^x-1)/x, and log1pOver is ln(1+x)/x, also near 0.
func expm1Over(x float64) float64 {
	if math.Abs(x) > 1e-8 {
		return math.Expm1(x) / x
	}
	return 1 + x/2*(1+x/3)
}

func log1pOver(x float64) float64 {
	if math.Abs(x) > 1e-8 {
		return math.Log1p(x) / x
	}
	return 1 - x/2
}
