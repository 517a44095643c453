// Package features holds floats that reach a record.
package features

import "math"

type money float64

func sums(x, y, z float64, f float32, m money, i, j int, c complex128) {
	_ = x*y + z      // want `a product may be fused with a later sum on some machines: round it where it is made, float64\(...\)`
	_ = z - x*y      // want `a product may be fused`
	_ = (x * y) + z  // want `a product may be fused`
	_ = -(x * y) + z // want `a product may be fused`
	_ = x*y - z*z    // want `a product may be fused` `a product may be fused`
	_ = f*f + f      // want `round it where it is made, float32`
	_ = m*m + m      // want `round it where it is made, float64`
	_ = c*c + c      // want `round it where it is made, complex128`
	z += x * y       // want `a product may be fused`
	z -= (x * y)     // want `a product may be fused`

	_ = float64(x*y) + z
	z += float64(x * y)
	product := x * y // want `a product may be fused`
	_ = product + z
	product = float64(x * y)
	_ = product + z
	pair := []float64{x * y, float64(x * y)} // want `a product may be fused`
	pair[0] = times(x*y, z) + z              // want `a product may be fused`
	_ = int64(x*y) + 1
	_ = x*y > z && -(x*y) < z
	_ = math.Sqrt(x*y) + x*y/z
	_ = x*y*z + float64(z*z) // want `a product may be fused`
	_ = x * (y + z)          // want `a product may be fused`
	_ = x/y + z
	_ = i*j + i
	_ = 2*3.5 + z // a constant
	z *= x        // want `write x = float64\(x \* y\)`
	i *= j
}

func times(x, y float64) float64 {
	return x * y // want `a product may be fused`
}

func calls(x float64) {
	_ = math.Exp(x)       // want `math.Exp gives other bits on other machines`
	_ = math.FMA(x, x, x) // want `math.FMA gives other bits`
	f := math.Log         // want `math.Log gives other bits`
	_ = f(x)
	_ = math.Sqrt(x) + math.Floor(x) + math.NaN() + math.MaxFloat64
}
