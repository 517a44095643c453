package tiles

import (
	"math"
	"math/bits"
)

// Int128 is an exact sum: the value Hi*2^64 + Lo. No stream of int64 values that fits a lifetime overflows it.
type Int128 struct {
	Hi int64
	Lo uint64
}

// MakeInt128 gives v.
func MakeInt128(v int64) Int128 { return Int128{Hi: v >> 63, Lo: uint64(v)} }

// Add gives a+b, modulo 2^128.
func (a Int128) Add(b Int128) Int128 {
	lo, carry := bits.Add64(a.Lo, b.Lo, 0)
	hi, _ := bits.Add64(uint64(a.Hi), uint64(b.Hi), carry)
	return Int128{Hi: int64(hi), Lo: lo}
}

// square128 gives v*v.
func square128(v int64) Int128 {
	u := uint64(v)
	if v < 0 {
		u = -u
	}
	hi, lo := bits.Mul64(u, u)
	return Int128{Hi: int64(hi), Lo: lo}
}

// Neg gives -a, modulo 2^128.
func (a Int128) Neg() Int128 {
	lo, borrow := bits.Sub64(0, a.Lo, 0)
	hi, _ := bits.Sub64(0, uint64(a.Hi), borrow)
	return Int128{Hi: int64(hi), Lo: lo}
}

// Int64 gives a where it fits.
func (a Int128) Int64() (int64, bool) {
	v := int64(a.Lo)
	return v, v>>63 == a.Hi
}

// Float64 gives the float64 nearest to a, ties to even: one rounding, whatever was added in whatever order.
func (a Int128) Float64() float64 {
	if v, ok := a.Int64(); ok {
		return float64(v)
	}
	sign, m := 1.0, a
	if a.Hi < 0 {
		sign, m = -1, a.Neg()
	}
	hi, lo := uint64(m.Hi), m.Lo
	if hi == 0 {
		return math.Copysign(float64(lo), sign)
	}
	// The upper 64 bits with a sticky last bit round as all 128 would: 64 bits are eleven more than a float64 has.
	shift := uint(64 - bits.LeadingZeros64(hi))
	top := hi<<(64-shift) | lo>>shift
	if lo<<(64-shift) != 0 {
		top |= 1
	}
	return math.Copysign(math.Ldexp(float64(top), int(shift)), sign)
}
