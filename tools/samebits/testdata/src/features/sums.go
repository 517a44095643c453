// Package features holds floats that reach a record.
package features

import "math"

type money float64

func sums(x, y, z float64, f float32, m money, i, j int, c complex128) {
	_ = x*y + z      // want `a product inside a sum may be fused on some machines: round it first, float64\(...\)`
	_ = z - x*y      // want `a product inside a sum`
	_ = (x * y) + z  // want `a product inside a sum`
	_ = -(x * y) + z // want `a product inside a sum`
	_ = x*y - z*z    // want `a product inside a sum` `a product inside a sum`
	_ = f*f + f      // want `round it first, float32`
	_ = m*m + m      // want `round it first, float64`
	_ = c*c + c      // want `round it first, complex128`
	z += x * y       // want `a product inside a sum`
	z -= (x * y)     // want `a product inside a sum`

	_ = float64(x*y) + z
	z += float64(x * y)
	product := x * y
	_ = product + z
	_ = x*y*z + float64(z*z) // want `a product inside a sum`
	_ = x * (y + z)
	_ = x/y + z
	_ = i*j + i
	_ = 2*3.5 + z // a constant
	z *= x
}

func calls(x float64) {
	_ = math.Exp(x)       // want `math.Exp gives other bits on other machines`
	_ = math.FMA(x, x, x) // want `math.FMA gives other bits`
	f := math.Log         // want `math.Log gives other bits`
	_ = f(x)
	_ = math.Sqrt(x) + math.Floor(x) + math.NaN() + math.MaxFloat64
}
