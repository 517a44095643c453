package features

import "sync/atomic"

// engineCounters are the engine's figures.
type engineCounters struct {
	applied, late, duplicates, conflicts, transactions atomic.Uint64
	vectors, replayed, erased, recoveries, throttled   atomic.Uint64
	checkpoints, checkpointErrors, erasures, pushes    atomic.Uint64
	corrections, correctionsWaiting, correctionsMet    atomic.Uint64
	correctionsLost, blocked                           atomic.Uint64
	sweeps, swept, shrunk, joined                      atomic.Uint64
	ages                                               [ageBuckets]atomic.Uint64
	checkpointOffset                                   atomic.Uint64
	checkpointAt                                       atomic.Int64
}

// ageNames name how late an event was received, after it happened, in buckets that each end where the next begins.
func ageNames() [ageBuckets]string { return [...]string{"1m-5m", "5m-1h", "1h-1d", "1d-7d", "7d-30d"} }

const ageBuckets = 5

// LateAges counts events by how long after they happened they were received, by the names of their buckets. What came
// within a minute is in none.
type LateAges [ageBuckets]struct {
	Age    string
	Events uint64
}

// countAge counts an event by how late it was received.
func (s *engineCounters) countAge(age int64) {
	const minute = 60 * microsPerSecond
	for i, from := range [ageBuckets]int64{7 * 1440 * minute, 1440 * minute, 60 * minute, 5 * minute, minute} {
		if age > from {
			s.ages[ageBuckets-1-i].Add(1)
			return
		}
	}
}

// EngineStats are figures for metrics: counters since opening, and gauges where said.
type EngineStats struct {
	// Applied counts events applied by new frames and at recovery; Late those of them that were more than the grace of
	// 60 s older than the newest event of an entity; Vectors vectors read.
	Applied, Late, Vectors uint64
	// Ages counts applied events by how late they were received.
	Ages LateAges
	// Duplicates counts events that came again, by whatever way; Conflicts events refused because another one has their
	// event_id; Transactions those refused because another event has their transaction.
	Duplicates, Conflicts, Transactions uint64
	// Corrections counts originals that were made void by a later event; CorrectionsWaiting corrections that came before
	// their original, and CorrectionsMet originals that found one waiting: the difference waits still. CorrectionsLost
	// counts corrections whose original nobody can read any more: it still counts. Blocked counts events that pitboss
	// blocked. All are of new frames and of recovery.
	Corrections, CorrectionsWaiting, CorrectionsMet, CorrectionsLost, Blocked uint64
	// Replayed counts frames read at recovery; Erased those of them that nobody can read any more.
	Replayed, Erased uint64
	// Erasures counts subjects erased, at recovery again.
	Erasures uint64
	// Pushes counts entities whose values were pushed, at recovery again.
	Pushes uint64
	// Recoveries counts failed writes of the journal. Throttled counts waits for a checkpoint: States is too slow.
	Recoveries, Throttled uint64
	// Recovering is a gauge: nothing is accepted now.
	Recovering bool
	// Checkpoints counts those made, CheckpointErrors those that failed and are tried again.
	Checkpoints, CheckpointErrors uint64
	// Sweeps counts rounds through the entities on disk; Swept entities taken out, Shrunk those made smaller.
	Sweeps, Swept, Shrunk uint64
	// CheckpointOffset is the last one's position and CheckpointAt when it began, microseconds since the Unix epoch; 0
	// before the first.
	CheckpointOffset uint64
	CheckpointAt     int64
	// Behind is a gauge: frames since the last checkpoint, which a restart reads again.
	Behind int64
	// Entities, EntityBytes and Dirty are gauges of the entities in memory, and of those that wait for a checkpoint.
	Entities, EntityBytes, Dirty int64
	// Loaded and Evicted count entities that came from States, and that left memory.
	Loaded, Evicted uint64
	// DedupeEntries is a gauge of the dedupe index in memory; Slots of the events in work.
	DedupeEntries, Slots int
}

// Stats reads the figures.
func (e *Engine) Stats() EngineStats {
	c := e.cache.Load()
	s := &e.stats
	stats := EngineStats{
		Applied: s.applied.Load(), Late: s.late.Load(), Vectors: s.vectors.Load(), Duplicates: s.duplicates.Load(), Conflicts: s.conflicts.Load(),
		Transactions: s.transactions.Load(), Replayed: s.replayed.Load(), Erased: s.erased.Load(), Recoveries: s.recoveries.Load(), Erasures: s.erasures.Load(),
		Corrections: s.corrections.Load(), CorrectionsWaiting: s.correctionsWaiting.Load(), CorrectionsMet: s.correctionsMet.Load(),
		CorrectionsLost: s.correctionsLost.Load(), Blocked: s.blocked.Load(),
		Pushes: s.pushes.Load(), Throttled: s.throttled.Load(), Recovering: e.gate.state.Load() == gateRecovering, Checkpoints: s.checkpoints.Load(),
		CheckpointErrors: s.checkpointErrors.Load(), CheckpointOffset: s.checkpointOffset.Load(), CheckpointAt: s.checkpointAt.Load(),
		Behind: e.behind.Load(), Entities: c.entities.Load(), EntityBytes: c.bytes.Load(), Dirty: c.dirty.Load(),
		Sweeps: s.sweeps.Load(), Swept: s.swept.Load(), Shrunk: s.shrunk.Load(), Loaded: c.loaded.Load(), Evicted: c.evicted.Load(), DedupeEntries: e.dedupe.Load().len(), Slots: e.slots.len(),
	}
	for i, age := range ageNames() {
		stats.Ages[i].Age, stats.Ages[i].Events = age, s.ages[i].Load()
	}
	return stats
}
