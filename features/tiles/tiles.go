// Package tiles is the windowed state of one group of one entity: how many events, sums of integers, distinct
// categories, first and last time, over a ladder of windows from one minute to thirty days, in about a kilobyte.
//
// What it holds to: a reading depends only on the set of contributions, the horizon and the evaluation time; never on
// the order of arrival, on batches, on when Compact ran or on how often the state was written and read back. It knows
// times, integers and hashes; it knows no events, does no I/O, reads no clock, takes no lock and uses floating
// point only for the last step of a reading.
//
// Times are microseconds since the Unix epoch, from 1970 to 2106. The horizon is the entity's newest event time less
// Grace, over all its groups; the owner passes it and never lets it fall.
//
// Start reading at State, then testdata/*.txt, where the semantics are written down as additions and readings.
package tiles

// Contribution is what one event adds to a group. Each event contributes once: the owner removes duplicates.
type Contribution struct {
	// At is the event's time.
	At int64
	// ID tells events of the same microsecond apart: any 32 bits of a hash of the event's id.
	ID uint32
	// Values has one integer per Spec.Values, those of Spec.Sums first. An absent value is 0; where a mean must not count
	// it, sum a 1 for presence in another column and divide by that. Of Spec.Lows and Spec.Highs it is NoValue.
	Values []int64
	// Categories has one hash per Spec.Distincts and then Spec.Larges; 0 is an absent category, which is not counted.
	Categories []uint64
	// Slots has one slot per Spec.Counts, NoSlot where the event has none.
	Slots []int32
}

// Placement says what became of a contribution.
type Placement uint8

const (
	// Placed counts in every window that it belongs to.
	Placed Placement = iota
	// TooOld came after the last window's edge had passed it: only the first and last times heed it.
	TooOld
	// OutOfRange lies before 1970 or after 2106 and changes nothing.
	OutOfRange
)

// Flags say what a value is worth.
type Flags uint8

const (
	// Late is a reading at a time older than the horizon's second. Counts and sums are then those of the tiles that lie
	// wholly inside the window: the true value is at least (for sums of one sign) this, and nothing is from the future.
	Late Flags = 1 << iota
	// Capped hit a bound on memory: the true value is at least this.
	Capped
	// CorrectionMissed may still count the contribution that was to be left out.
	CorrectionMissed
)

// NoValue stands for an absent value where 0 would be one.
const NoValue int64 = -1 << 63

// NoTime stands for a time that does not exist.
const NoTime int64 = -1 << 63
