package sim

import (
	"math"
	"math/bits"
	"math/rand/v2"
)

// stream is one agent's own chance. Only PCG's raw output is taken from the standard library, whose sequence is fixed
// by its definition; how it becomes a number is ours, so that a seed gives the same casino under every Go release.
type stream struct {
	pcg rand.PCG
}

// newStream derives a stream from a seed and the path to who uses it.
func newStream(seed uint64, path ...uint64) stream {
	var s stream
	s.pcg.Seed(mix(seed, path...), mix(^seed, path...))
	return s
}

// mix is SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014), chained over a path.
func mix(seed uint64, path ...uint64) uint64 {
	h := finalize(seed + 0x9e3779b97f4a7c15)
	for _, p := range path {
		h = finalize((h ^ p) + 0x9e3779b97f4a7c15)
	}
	return h
}

func finalize(z uint64) uint64 {
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

// float is in [0, 1).
func (s *stream) float() float64 { return float64(s.pcg.Uint64()>>11) * 0x1p-53 }

// open is in (0, 1), never an end.
func (s *stream) open() float64 { return (float64(s.pcg.Uint64()>>12) + 0.5) * 0x1p-52 }

// intn is in [0, n).
func (s *stream) intn(n int) int {
	hi, _ := bits.Mul64(s.pcg.Uint64(), uint64(n))
	return int(hi)
}

// chance is true with probability p.
func (s *stream) chance(p float64) bool { return s.float() < p }

// between is in [a, b).
func (s *stream) between(a, b float64) float64 { return lerp(a, b, s.float()) }

// normal has mean 0 and deviation 1; one draw each, so that streams stay in step.
func (s *stream) normal() float64 { return normalQuantile(s.open()) }

// lognormal has the median and the deviation of its logarithm, cut at four deviations.
func (s *stream) lognormal(median, sigma float64) float64 {
	return median * spread(sigma, s.normal())
}

// spread is what a lognormal value is above its median, cut at four deviations.
func spread(sigma, normal float64) float64 { return exp(sigma * min(max(normal, -4), 4)) }

// micros is a lognormal time around a median in microseconds.
func (s *stream) micros(median int64, sigma float64) int64 {
	return int64(s.lognormal(float64(median), sigma))
}

// uniform is in [0, n) microseconds.
func (s *stream) uniform(n int64) int64 {
	hi, _ := bits.Mul64(s.pcg.Uint64(), uint64(n))
	return int64(hi)
}

// failures is how many times a chance of p fails before it comes true: geometric.
func (s *stream) failures(p float64) int64 {
	if p >= 1 {
		return 0
	}
	return int64(min(logarithm(s.open())/logarithm(1-p), 1e6))
}

// pick gives an index with the chance of its weight.
func (s *stream) pick(weights []int) int {
	total := 0
	for _, w := range weights {
		total += w
	}
	n := s.intn(total)
	for i, w := range weights {
		if n < w {
			return i
		}
		n -= w
	}
	return len(weights) - 1
}

// shuffle gives 0 to n-1 in random order.
func (s *stream) shuffle(n int) []int32 {
	out := make([]int32, n)
	for i := range out {
		j := s.intn(i + 1)
		out[i] = out[j]
		out[j] = int32(i)
	}
	return out
}

// The functions below are our own, since those of math are assembly on some machines and differ in the last bit. Every
// product inside a sum is wrapped, so that no compiler fuses the two.

func lerp(a, b, x float64) float64 { return float64(a*(1-x)) + float64(b*x) }

// exp is e^x for |x| < 700, to about 1e-15: x = k ln 2 + r, and Taylor's series of r.
func exp(x float64) float64 {
	const ln2Hi, ln2Lo = 6.93147180369123816490e-01, 1.90821492927058770002e-10
	k := math.Floor(float64(x*(1/math.Ln2)) + 0.5)
	r := (x - float64(k*ln2Hi)) - float64(k*ln2Lo)
	sum := 1.0
	for n := 14.0; n >= 1; n-- {
		sum = 1 + float64(sum*float64(r/n))
	}
	return math.Ldexp(sum, int(k))
}

// logarithm is ln x for x > 0, to about 1e-15: x = 2^k m, and the series of artanh((m-1)/(m+1)).
func logarithm(x float64) float64 {
	m, k := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m, k = m*2, k-1
	}
	s := (m - 1) / (m + 1)
	s2 := s * s
	sum := 0.0
	for n := 21.0; n >= 1; n -= 2 {
		sum = 1/n + float64(sum*s2)
	}
	return float64(float64(k)*math.Ln2) + float64(2*s*sum)
}

// normalQuantile is the inverse of the normal distribution function for 0 < p < 1, to about 1e-16: Wichura, Algorithm AS
// 241, Applied Statistics 37 (1988), PPND16.
func normalQuantile(p float64) float64 {
	q := p - 0.5
	if math.Abs(q) <= 0.425 {
		r := 0.180625 - float64(q*q)
		return q * horner(r, 2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4,
			4.5921953931549871457e4, 1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2,
			3.3871328727963666080e0) /
			horner(r, 5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4,
				2.1213794301586595867e4, 5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1)
	}
	tail := p
	if q > 0 {
		tail = 1 - p
	}
	z := normalTail(math.Sqrt(-logarithm(tail)))
	if q < 0 {
		return -z
	}
	return z
}

func normalTail(r float64) float64 {
	if r <= 5 {
		r -= 1.6
		return horner(r, 7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
			1.27045825245236838258e0, 3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0,
			1.42343711074968357734e0) /
			horner(r, 1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
				1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1)
	}
	r -= 5
	return horner(r, 2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
		2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580e0, 5.46378491116411436990e0,
		6.65790464350110377720e0) /
		horner(r, 2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
			7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1)
}

// horner evaluates a polynomial, highest power first.
func horner(x float64, coefficients ...float64) float64 {
	sum := 0.0
	for _, c := range coefficients {
		sum = float64(sum*x) + c
	}
	return sum
}
