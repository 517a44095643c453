// Package rhythm says how regular a few hundred events are, from their times alone: the gaps between them, and whether they
// fall on the beat of some period. A bot's clock shows here (research: gaps of people vary by more than a third of their
// mean, and a metronome's do not).
//
// Everything is a pure function of the sorted times: integers as far as possible, then float64 in one fixed order, so that
// the same times give the same bits everywhere. It knows no events, no windows and no state. Start reading at Gaps.
package rhythm
