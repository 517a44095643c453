package tiles_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"pitboss/features/tiles"
)

// TestDispersionIsRoundedOnce compares with arithmetic of any length.
func TestDispersionIsRoundedOnce(t *testing.T) {
	seed, rounds := seedAndRounds(t, 3000)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range rounds {
		sum, squares := new(big.Int), new(big.Int)
		top := int64(1) << (1 + rng.IntN(53))
		middle := rng.Int64N(top)
		n := int64(1 + rng.IntN(50))
		values := make([]int64, n)
		for i := range values {
			values[i] = middle - rng.Int64N(1<<rng.IntN(20))
			if rng.IntN(2) == 0 {
				values[i] = rng.Int64N(2*top) - top
			}
			v := big.NewInt(values[i])
			sum.Add(sum, v)
			squares.Add(squares, new(big.Int).Mul(v, v))
		}
		want := new(big.Int).Mul(big.NewInt(n), squares)
		want.Sub(want, new(big.Int).Mul(sum, sum))
		exact, _ := new(big.Float).SetInt(want).Float64()
		if got := tiles.Dispersion(n, int128Of(sum), int128Of(squares)); math.Float64bits(got) != math.Float64bits(exact) {
			t.Fatalf("seed %d: values %v: got %v, want %v", seed, values, got, exact)
		}
	}
}

// int128Of is bigOf the other way round.
func int128Of(v *big.Int) tiles.Int128 {
	low := new(big.Int).And(v, new(big.Int).SetUint64(math.MaxUint64))
	return tiles.Int128{Hi: new(big.Int).Rsh(v, 64).Int64(), Lo: low.Uint64()}
}
