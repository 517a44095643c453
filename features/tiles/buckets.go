package tiles

import "math/bits"

// Buckets are the slots of a histogram over integers: each doubling of the value is divided into 16 parts of one width,
// and below 32 every integer has its own. So a bucket's middle is off by at most 1/32 of the value, and which bucket is
// arithmetic on integers. (The scheme of HdrHistogram, which fixes it by significant bits.)
type Buckets struct {
	// Low and High bound the values; one beyond them counts as the nearest.
	Low, High int64
}

// BucketError is how much a value in a bucket can be off its middle, as a share of the value.
const BucketError = 1.0 / 32

const bucketBits = 4 // of each doubling

// Slots is how many slots the buckets take.
func (b Buckets) Slots() int { return int(bucketOf(b.High)-bucketOf(b.Low)) + 1 }

// Slot gives the slot of a value.
func (b Buckets) Slot(v int64) int32 {
	return int32(bucketOf(min(max(v, b.Low), b.High)) - bucketOf(b.Low))
}

// Value gives the middle of a slot.
func (b Buckets) Value(slot int32) float64 {
	low, high := bucketRange(bucketOf(b.Low) + int64(slot))
	low, high = max(low, b.Low), min(high, b.High)
	return float64(low) + float64(high-low)/2
}

// bucketOf numbers the buckets through, from the negative ones to the positive; 0 has number 0.
func bucketOf(v int64) int64 {
	u := uint64(max(v, -v))
	shift := max(0, bits.Len64(u)-bucketBits-1)
	n := int64(shift)<<bucketBits + int64(u>>shift)
	if v < 0 {
		return -n
	}
	return n
}

// bucketRange gives the smallest and the largest value of a bucket.
func bucketRange(n int64) (low, high int64) {
	u := max(n, -n)
	shift := max(0, u>>bucketBits-1)
	low = (u - shift<<bucketBits) << shift
	high = low + 1<<shift - 1
	if n < 0 {
		return -high, -low
	}
	return low, high
}
