package tiles_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"pitboss/features/tiles"
)

// TestBuckets holds what a histogram promises: slots in the order of the values, none left out, and each one's middle
// within BucketError of every value in it.
func TestBuckets(t *testing.T) {
	f := func(b tiles.Buckets, values ...int64) {
		t.Helper()
		last := int32(-1)
		for _, v := range values {
			slot := b.Slot(v)
			if slot != last && slot != last+1 && len(values) > 1000 || slot < last || slot >= int32(b.Slots()) {
				t.Fatalf("%+v: value %d has slot %d of %d after %d", b, v, slot, b.Slots(), last)
			}
			last = slot
			within := min(max(v, b.Low), b.High)
			if off := math.Abs(b.Value(slot) - float64(within)); off > tiles.BucketError*math.Abs(float64(within)) {
				t.Fatalf("%+v: value %d reads %v", b, v, b.Value(slot))
			}
		}
	}
	var all []int64
	for v := int64(-70_000); v < 70_000; v++ {
		all = append(all, v)
	}
	f(tiles.Buckets{Low: -70_000, High: 70_000}, all...)
	f(tiles.Buckets{Low: 0, High: 33}, all...)
	f(tiles.Buckets{Low: -5000, High: -100}, all...)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		v := rng.Int64N(1 << (1 + rng.IntN(52)))
		f(tiles.Buckets{Low: -1 << 53, High: 1 << 53}, -v-1, -v, v, v+1)
		f(tiles.Buckets{Low: 0, High: 1 << 40}, v)
	}
	if got := (tiles.Buckets{Low: 0, High: 1 << 40}).Slots(); got != 593 {
		t.Errorf("the default range takes %d slots, want 593", got)
	}
	for v := range int64(32) {
		if got := (tiles.Buckets{Low: 0, High: 1000}); got.Value(got.Slot(v)) != float64(v) {
			t.Errorf("%d reads %v", v, got.Value(got.Slot(v)))
		}
	}
}
