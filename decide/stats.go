package decide

import (
	"sync/atomic"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

// Stats are counters since the Decider was made.
type Stats struct {
	// Decisions counts answers made now, by outcome (index pb.Outcome); DryRuns are not among them.
	Decisions [pb.Outcome_OUTCOME_BLOCK + 1]uint64
	// Duplicates counts answers with a decision that was recorded before; DryRuns those of which nothing was kept.
	Duplicates, DryRuns uint64
	// Refused counts calls that ended in an error: conflicts, and callers that went away.
	Refused uint64
	// Degraded counts answers with at least one stage missing.
	Degraded uint64
	// FeatureErrors counts vectors that could not be read, for lack of time or otherwise.
	FeatureErrors uint64
	// Panics, ModelErrors and Additivity count models that panicked, failed on a row, or whose contributions did not
	// add up. None of them may ever happen: take the bundle away.
	Panics, ModelErrors, Additivity uint64
}

type counters struct {
	decisions                              [pb.Outcome_OUTCOME_BLOCK + 1]atomic.Uint64
	duplicates, dryRuns, refused, degraded atomic.Uint64
	featureErrors                          atomic.Uint64
	panics, modelErrors, additivity        atomic.Uint64
}

// Stats reads the counters.
func (d *Decider) Stats() Stats {
	c := &d.stats
	s := Stats{
		Duplicates: c.duplicates.Load(), DryRuns: c.dryRuns.Load(), Refused: c.refused.Load(), Degraded: c.degraded.Load(),
		FeatureErrors: c.featureErrors.Load(),
		Panics:        c.panics.Load(), ModelErrors: c.modelErrors.Load(), Additivity: c.additivity.Load(),
	}
	for i := range s.Decisions {
		s.Decisions[i] = c.decisions[i].Load()
	}
	return s
}

// observe counts an answer and shows it to whoever looks.
func (d *Decider) observe(ev *features.Event, answer *pb.Decision, err error) {
	c := &d.stats
	if err != nil {
		c.refused.Add(1)
		return
	}
	switch answer.Status {
	case pb.Status_STATUS_DUPLICATE:
		c.duplicates.Add(1)
	case pb.Status_STATUS_DRY_RUN:
		c.dryRuns.Add(1)
	default:
		c.decisions[answer.Outcome].Add(1)
		if len(answer.Degraded) > 0 {
			c.degraded.Add(1)
		}
	}
	if d.cfg.Observe != nil {
		d.cfg.Observe(ev, answer)
	}
}
