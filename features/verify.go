package features

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"

	"pitboss/journal"
)

// VerifyConfig is what Verify reads.
type VerifyConfig struct {
	// Journal has the decisions, and all that they were made of. It is only read. Needed.
	Journal journal.Journal
	// States are empty ones of its own, for the entities that are not in memory. Needed.
	States States
	// Sets are the feature sets that the decisions name, Served what ServedSets says of the journal. Both needed.
	Sets   []*Set
	Served []*ServedSet
	// Engine bounds memory, and has the kinds.
	Engine EngineConfig
	// Ahead is how many frames are read ahead, some 6 KB each: a decision whose vector was read more frames before it was
	// written is found too late, and differs where an entity changed between. Default DefaultVerifyAhead.
	Ahead int
	// Progress, which may be nil, is called now and then, and at the end.
	Progress func(*VerifyReport)
}

// DefaultVerifyAhead is VerifyConfig.Ahead's default: at 30,000 frames a second, half a second.
const DefaultVerifyAhead = 16_384

// VerifyReport counts what Verify found.
type VerifyReport struct {
	// Last is the last frame that was read, Frames how many were.
	Last   journal.Pos
	Frames uint64
	// Decisions are those with a vector. Each is one of the next four: the same bytes, others, others after frames that are
	// erased (an address keeps the counts of an erased player, and the journal does not), or not made again at all.
	Decisions, Same, Different, Unsure, Failed uint64
	// Without are decisions that were made without a vector; Erased counts event frames that nobody can read any more,
	// with or without a decision.
	Without, Erased uint64
	// Overtaken are decisions with a known entity that other frames changed between the reading of the vector and the
	// writing of its record: those that differ from what stands before their frame. Inside are those whose event had come before.
	Overtaken, Inside uint64
	// Values are all that were compared, Taken those that were not: of sources, and of groups that had not seen the whole
	// journal (warming_up; also late and correction_missed, until all of the set say neither). The record's stands in
	// their place, also for what is derived of it.
	Values, Taken uint64
	// Findings are the first decisions that differ or failed, in the journal's order.
	Findings []VerifyFinding
}

// VerifyFinding is a decision whose vector is not what its pins say.
type VerifyFinding struct {
	// Pos is its frame.
	Pos journal.Pos
	// DecisionID is the record's.
	DecisionID string
	// What says what differs, or why it could not be made again, a line each.
	What []string
}

// String gives the finding in a few lines.
func (f VerifyFinding) String() string {
	return fmt.Sprintf("frame %v, decision %s:\n  %s", f.Pos, f.DecisionID, strings.Join(f.What, "\n  "))
}

// Identical says that each vector that could be made again from whole frames has the same bytes.
func (r *VerifyReport) Identical() bool { return r.Different == 0 && r.Failed == 0 }

// maxVerifyFindings bounds how many decisions a report describes, maxVerifyLines how much it says of one.
const maxVerifyFindings, maxVerifyLines = 20, 8

// Verify makes the vector of every decision in the journal again, from the journal alone, and compares it with the one that
// was served, bit for bit. Each entity is read as it stood at the position that the record pins: of two callers at once, one
// may have seen the other's event at the address and not at the player. It reads the journal once, in memory that Engine
// and Ahead bound. What one decision does wrong is a finding; the error is of the journal, of States or the context.
func Verify(ctx context.Context, cfg VerifyConfig) (*VerifyReport, error) {
	v, err := newVerifier(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot verify: %w", err)
	}
	v.engine.checkpoints.Lock()
	defer v.engine.checkpoints.Unlock()
	if err := v.engine.rebuild(ctx); err != nil {
		return &v.report, fmt.Errorf("cannot verify: %w", err)
	}
	v.progress()
	return &v.report, nil
}

// newVerifier makes the engine that the frames are applied to: one that follows the journal, and keeps no keys.
func newVerifier(ctx context.Context, cfg VerifyConfig) (*verifier, error) {
	ec := cfg.Engine
	ec.OnCheckpoint, ec.Sides, ec.Past = func(journal.Pos) {}, nil, nil
	ec.Log = slog.New(slog.DiscardHandler)
	if cfg.Ahead == 0 {
		cfg.Ahead = DefaultVerifyAhead
	}
	switch err := ec.Validate(); {
	case err != nil:
		return nil, err
	case cfg.Journal == nil || cfg.States == nil:
		return nil, errors.New("a journal and States are needed")
	case cfg.Ahead < 1:
		return nil, fmt.Errorf("%d frames ahead are too few: at least 1", cfg.Ahead)
	}
	e := &Engine{cfg: ec, journal: cfg.Journal, states: cfg.States, log: ec.Log, gate: newGate(), slots: newSlots(), follower: true}
	start, err := e.fillStart(ctx, cfg.States, 0)
	if err != nil {
		return nil, err
	}
	p, err := newPlan(ec.Kinds, ec.SubjectKind, cfg.Sets, planTable{}, start.since)
	if err != nil {
		return nil, err
	}
	p.subject, p.tenant = nil, nil
	p.settle(start.from)
	e.plans.Store(p)
	v := &verifier{
		cfg: cfg, engine: e, batches: (cfg.Ahead + replayBatch - 1) / replayBatch,
		waiting: map[EntityKey]*waitingPins{}, made: map[journal.Pos]*remaking{}, warmsUntil: map[[32]byte]journal.Pos{}, since: start.since,
	}
	for _, s := range cfg.Served {
		if len(s.Hash) == 32 {
			v.warmsUntil[[32]byte(s.Hash)] = s.warmsUntil()
		}
	}
	e.verifier = v
	return v, nil
}

// compare holds what was made again against the record.
func (v *verifier) compare(r *remaking) {
	in := r.item.event.GetDecision().GetInputs()
	v.report.Inside += uint64(boolInt(in.GetEventInside()))
	v.report.Overtaken += uint64(boolInt(r.overtaken))
	if len(r.failed) > 0 {
		v.report.Failed++
		v.find(r, r.failed)
		return
	}
	var lines []string
	for i, x := range r.vector.Values {
		if r.taken[i] {
			v.report.Taken++
			continue
		}
		v.report.Values++
		want, status := in.GetVector()[i], Status(in.GetStatuses()[i])
		if sameBits(want, x) && status == r.vector.Status[i] {
			continue
		}
		lines = append(lines, fmt.Sprintf("%s: recorded %v (%v), remade %v (%v)", r.set.Features[i].Name, want, status, x, r.vector.Status[i]))
	}
	switch {
	case len(lines) == 0:
		v.report.Same++
	case v.report.Erased > 0:
		v.report.Unsure++
	default:
		v.report.Different++
		v.find(r, append(r.missed, lines...))
	}
}

// sameBits compares as records do, which have one NaN.
func sameBits(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || math.IsNaN(a) && math.IsNaN(b)
}

func (v *verifier) find(r *remaking, lines []string) {
	if len(v.report.Findings) == maxVerifyFindings {
		return
	}
	if n := len(lines); n > maxVerifyLines {
		lines = append(lines[:maxVerifyLines:maxVerifyLines], fmt.Sprintf("and %d more", n-maxVerifyLines))
	}
	v.report.Findings = append(v.report.Findings, VerifyFinding{r.item.f.Pos, r.item.event.GetDecision().GetDecisionId(), lines})
}

func (v *verifier) progress() {
	if v.cfg.Progress != nil {
		v.cfg.Progress(&v.report)
	}
}
