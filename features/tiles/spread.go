package tiles

import (
	"math"
	"math/bits"
)

// Dispersion gives n*squares - sum*sum for n values with this sum and this sum of squares: n*n times their variance. It
// is worked out in integers and rounded once.
func Dispersion(n int64, sum, squares Int128) float64 {
	if sum.Hi < 0 {
		sum = sum.Neg()
	}
	a := product(Int128{Lo: uint64(n)}, squares)
	b := product(sum, sum)
	var borrow uint64
	for i := range a {
		a[i], borrow = bits.Sub64(a[i], b[i], borrow)
	}
	if borrow != 0 {
		return 0 // squares that wrapped around: no variance is negative
	}
	return a.float64()
}

// wide256 is an unsigned integer, its lowest word first.
type wide256 [4]uint64

// product gives a*b for numbers that are not negative.
func product(a, b Int128) (p wide256) {
	for i, x := range [...]uint64{a.Lo, uint64(a.Hi)} {
		var carry uint64
		for j, y := range [...]uint64{b.Lo, uint64(b.Hi)} {
			hi, lo := bits.Mul64(x, y)
			var c uint64
			lo, c = bits.Add64(lo, carry, 0)
			hi += c
			p[i+j], c = bits.Add64(p[i+j], lo, 0)
			carry = hi + c
		}
		p[i+2] += carry
	}
	return p
}

// float64 gives the nearest float64, ties to even.
func (a wide256) float64() float64 {
	top := len(a) - 1
	for top > 0 && a[top] == 0 {
		top--
	}
	if top == 0 {
		return float64(a[0])
	}
	// 64 bits, the last one sticky, round as all would.
	shift := uint(bits.LeadingZeros64(a[top]))
	word := a[top]<<shift | a[top-1]>>(64-shift)
	rest := a[top-1] << shift
	for _, low := range a[:top-1] {
		rest |= low
	}
	if rest != 0 {
		word |= 1
	}
	return math.Ldexp(float64(word), 64*top-int(shift))
}
