// Package audit reads decisions back out of the journal and makes them again.
//
// [Auditor.Replay] takes one recorded decision, recomputes its outputs from what the record pins, by the bundle that
// made it and the rules of that time, and compares the bytes. [Auditor.ReplayAll] does so for a stretch of the journal,
// [Auditor.Get] gives a decision as its caller saw it. It changes nothing, decides nothing and slows nothing down: it
// follows the journal by cursor.
//
// It does not read who did what (that is the journal itself) and does not prove that no record was taken away: the
// Merkle log does, and is not here yet.
//
// Start reading at [Auditor.Replay] in replay.go.
package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"pitboss/decide"
	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// Records finds a recorded decision by its id; *features.Engine does.
type Records interface {
	// Record gives the frame that holds the decision. It wraps features.ErrNoRecord if there is none, and
	// features.ErrRecordErased if its subject was erased.
	Record(ctx context.Context, tenant, decisionID string) (*pb.EventFrame, error)
}

// Config is what an Auditor reads from.
type Config struct {
	// Journal has the records. Needed.
	Journal journal.Journal
	// Records finds one by its id. Needed for Get alone.
	Records Records
	// Registry has the bundles that made them. Needed.
	Registry *registry.Registry
	// Kinds are the entity kinds of the configuration. Needed.
	Kinds *features.Kinds
}

// Auditor makes recorded decisions again. It may be used by any number of goroutines at once.
type Auditor struct {
	cfg  Config
	pool sync.Pool // of *decide.Scratch
}

// New makes an Auditor.
func New(cfg Config) (*Auditor, error) {
	if cfg.Journal == nil || cfg.Registry == nil || cfg.Kinds == nil {
		return nil, errors.New("cannot make an auditor: Journal, Registry and Kinds are needed")
	}
	return &Auditor{cfg: cfg}, nil
}

// Get gives a recorded decision as its caller saw it. With EXPLAIN_FULL it has every feature's value and contribution:
// the values are the record's, the contributions are computed again and must hash to the recorded ones. Errors as
// Records.Record's.
func (a *Auditor) Get(ctx context.Context, tenant, decisionID string, explain pb.Explain) (*pb.Decision, error) {
	if a.cfg.Records == nil {
		return nil, errors.New("cannot get a decision: Config.Records is needed")
	}
	frame, err := a.cfg.Records.Record(ctx, tenant, decisionID)
	if err != nil {
		return nil, fmt.Errorf("cannot get decision %q: %w", decisionID, err)
	}
	answer := decide.Answer(frame)
	if explain != pb.Explain_EXPLAIN_FULL {
		return answer, nil
	}
	var ev features.Event
	if err := features.Decode(a.cfg.Kinds, frame.GetEvent(), &ev); err != nil {
		return nil, fmt.Errorf("cannot get decision %q: %w", decisionID, err)
	}
	if err := decide.AddFeatures(answer, &ev, frame.GetDecision(), a.cfg.Registry); err != nil {
		return nil, fmt.Errorf("cannot get decision %q: %w", decisionID, err)
	}
	return answer, nil
}
