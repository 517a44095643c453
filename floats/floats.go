// Package floats has the elementary functions whose results reach a decision record: Exp, Log and Log1p, with the same
// bits on every machine. It knows nothing else; whatever is computed from floats lives with what it means.
package floats

import "math"

// The functions in this file are FreeBSD's msun routines (s_exp.c, e_log.c, s_log1p.c), the ones
// behind Go's portable math.Exp, math.Log and math.Log1p. They are repeated here because
// the math package uses assembly on some machines and lets the compiler fuse multiply and add on
// others, and a score that is kept in a decision record must have the same bits everywhere. Every
// product that is added to something, be it later or in another function, is therefore converted explicitly,
// which is what forbids fusing: an assignment alone does not.
//
// Copyright (C) 1993, 2004 by Sun Microsystems, Inc. All rights reserved. Permission to use, copy,
// modify, and distribute this software is freely granted, provided that this notice is preserved.

const (
	ln2Hi = 6.93147180369123816490e-01 // 0x3fe62e42fee00000
	ln2Lo = 1.90821492927058770002e-10 // 0x3dea39ef35793c76
)

// Exp returns e**x with an error below 1 ulp; 0 below the smallest and +Inf above the largest float64.
func Exp(x float64) float64 {
	const (
		log2e     = 1.44269504088896338700e+00
		overflow  = 7.09782712893383973096e+02
		underflow = -7.45133219101941108420e+02
		nearZero  = 1.0 / (1 << 28)
	)
	switch {
	case x != x:
		return x
	case x > overflow:
		return math.Inf(1)
	case x < underflow:
		return 0
	case -nearZero < x && x < nearZero:
		return 1 + x
	}
	half := 0.5
	if x < 0 {
		half = -0.5
	}
	k := int(float64(log2e*x) + half)
	hi := x - float64(float64(k)*ln2Hi)
	lo := float64(float64(k) * ln2Lo)
	return expMulti(hi, lo, k)
}

// expMulti returns e**(hi-lo) * 2**k for |hi-lo| <= ln(2)/2.
func expMulti(hi, lo float64, k int) float64 {
	const (
		p1 = 1.66666666666666657415e-01
		p2 = -2.77777777770155933842e-03
		p3 = 6.61375632143793436117e-05
		p4 = -1.65339022054652515390e-06
		p5 = 4.13813679705723846039e-08
	)
	r := hi - lo
	t := float64(r * r)
	q := p4 + float64(t*p5)
	q = p3 + float64(t*q)
	q = p2 + float64(t*q)
	q = p1 + float64(t*q)
	c := r - float64(t*q)
	y := 1 - ((lo - float64(r*c)/(2-c)) - hi)
	return math.Ldexp(y, k)
}

// Log returns the natural logarithm of x with an error below 1 ulp; NaN below 0, -Inf at 0.
func Log(x float64) float64 {
	switch {
	case x != x || x > math.MaxFloat64:
		return x
	case x < 0:
		return math.NaN()
	case x == 0:
		return math.Inf(-1)
	}
	f1, ki := math.Frexp(x)
	if f1 < math.Sqrt2/2 {
		f1 = float64(f1 * 2)
		ki--
	}
	f := f1 - 1
	k := float64(ki)
	s := f / (2 + f)
	r := logPoly(float64(s * s))
	hfsq := float64(float64(0.5*f) * f)
	return float64(k*ln2Hi) - ((hfsq - (float64(s*(hfsq+r)) + float64(k*ln2Lo))) - f)
}

// logPoly is the polynomial in z = s*s that e_log.c and s_log1p.c approximate log((1+s)/(1-s)) with,
// summed in the order of e_log.c.
func logPoly(z float64) float64 {
	const (
		l1 = 6.666666666666735130e-01
		l2 = 3.999999999940941908e-01
		l3 = 2.857142874366239149e-01
		l4 = 2.222219843214978396e-01
		l5 = 1.818357216161805012e-01
		l6 = 1.531383769920937332e-01
		l7 = 1.479819860511658591e-01
	)
	w := float64(z * z)
	odd := l5 + float64(w*l7)
	odd = l3 + float64(w*odd)
	odd = l1 + float64(w*odd)
	even := l4 + float64(w*l6)
	even = l2 + float64(w*even)
	return float64(z*odd) + float64(w*even)
}

// Log1p returns log(1+x) with an error below 1 ulp also where x is tiny. It is only called with x >= 0.
func Log1p(x float64) float64 {
	const (
		sqrt2M1 = 4.142135623730950488017e-01
		tiny    = 1.0 / (1 << 54)
		two53   = 1 << 53
	)
	if x < tiny || x != x || x > math.MaxFloat64 {
		return x
	}
	if x < sqrt2M1 {
		return log1pNear(x, 0, 0)
	}
	// 1+x loses the low bits of x: c puts them back.
	u, c := x, 0.0
	if x < two53 {
		u = 1 + x
		c = 1 - (u - x)
		if u < 2 {
			c = x - (u - 1)
		}
		c /= u
	}
	f1, k := math.Frexp(u)
	if f1 < math.Sqrt2/2 {
		f1 = float64(f1 * 2)
		k--
	}
	return log1pNear(f1-1, k, c)
}

// log1pNear returns log(1+f) + k*ln(2) + c for sqrt(2)/2 < 1+f < sqrt(2).
func log1pNear(f float64, k int, c float64) float64 {
	s := f / (2 + f)
	r := logPoly(float64(s * s))
	hfsq := float64(float64(0.5*f) * f)
	if k == 0 {
		return f - (hfsq - float64(s*(hfsq+r)))
	}
	kf := float64(k)
	return float64(kf*ln2Hi) - ((hfsq - (float64(s*(hfsq+r)) + (float64(kf*ln2Lo) + c))) - f)
}
