// Package features turns events into vectors: what a model sees of a player, a device, an address, at one moment.
//
// It holds the one form of an event in memory (Event), the entities that events name, feature sets (Set: YAML compiled
// to a plan), and the Engine, which applies events to the windows of their entities and reads vectors from them. The
// Engine stands on two interfaces: journal.Journal, the one log of everything that happened, and States, where
// entities rest between checkpoints.
//
// Its invariant: a vector depends only on the set of frames applied to its entities and on the evaluation time; never
// on arrival order, batching, restarts, duplicates or when compaction ran. Training, shadow, backtest, replay and live
// agree because of it.
//
// It does not accept raw events (features/edge does), does not know windows from the inside (features/tiles does),
// and decides nothing.
//
// Start reading at Event, then Set, then Engine; commit.go has the sequencer, recover.go what happens after a crash.
package features
