// Package server holds floats that nobody replays.
package server

import "math"

func free(x, y float64) float64 { return x*y + math.Exp(x) }
