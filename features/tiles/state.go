package tiles

// State is what a group keeps of one entity. The zero value is the empty state. It holds no lock: its owner sees to it
// that nothing else happens during Add, Compact and DecodeBinary; readings may run side by side.
type State struct{}

// Add puts a contribution where it belongs. The horizon may be the one before or the one after this event.
func (s *State) Add(l *Layout, c *Contribution, horizon int64) Placement { panic("BUG: being built") }

// Read evaluates every window at t. An event that is not inside the state takes part as plus; one that is inside is left
// out as minus; nil does nothing. They must be as they were, or will be, added.
//
//	                 event not inside   event inside
//	include current  plus               -
//	exclude current  -                  minus
//
// From the horizon's second on, readings are exact, but for Capped and for what CorrectionMissed says; before, they are
// Late.
func (s *State) Read(l *Layout, t, horizon int64, plus, minus *Contribution, r *Reading) {
	panic("BUG: being built")
}

// Compact merges what the horizon allows to be coarser and drops what no window needs any more. It never changes a
// reading. After it, the same set of contributions and horizon give the same bytes.
func (s *State) Compact(l *Layout, horizon int64) { panic("BUG: being built") }

// MemBytes is what the state holds in RAM, with itself.
func (s *State) MemBytes() int { panic("BUG: being built") }

// AppendBinary appends the state's encoding. Compact first: it makes it smaller.
func (s *State) AppendBinary(l *Layout, dst []byte) []byte { panic("BUG: being built") }

// DecodeBinary replaces the state by what AppendBinary wrote, and keeps nothing of data. The errors wrap ErrVersion,
// ErrLayout (written by another spec) or ErrCorrupt; the state is then empty.
func (s *State) DecodeBinary(l *Layout, data []byte) error { panic("BUG: being built") }
