package audit

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// ExportConfig says which examples are exported. Times are zero for no bound.
type ExportConfig struct {
	// Journal has the records, Registry the bundles that made them. Needed.
	Journal  journal.Journal
	Registry *registry.Registry
	// Tenant is whose examples; all where empty.
	Tenant string
	// From and Before bound the evaluation time: the first is inside, the second is not.
	From, Before time.Time
	// Maturity is how long a label may take: an example without one is mature when that has passed, counted to the watermark
	// of the newest frame (or to LabelsKnownBy, if that is earlier). Default 0: at once.
	Maturity time.Duration
	// Engine has the settings of the watermark. Needed.
	Engine features.EngineConfig
	// LabelsKnownBy leaves out labels that came in later.
	LabelsKnownBy time.Time
	// Set is the start of the hash of the feature set, which all examples of one export share. Default: that of the newest
	// decision.
	Set []byte
	// Sample says, for each class, which share is kept.
	Sample SampleRates
	// SampleSeed makes another draw.
	SampleSeed string
	// OnProgress is told now and then how many frames of how many were read; nil for nobody.
	OnProgress func(done, total int64, examples uint64)
}

// SampleRates are the shares that are kept, more than 0 and at most 1; 0 stands for 1.
type SampleRates struct {
	// Fraud, Honest and Unlabelled are the classes: by the label, or that there is none.
	Fraud, Honest, Unlabelled float64
}

// Example is a vector as it was served, with what became known of its event.
type Example struct {
	// Frame is the record's position.
	Frame journal.Pos
	// Tenant, EventID, EventType and DecisionID name it.
	Tenant, EventID, EventType, DecisionID string
	// Vector has the record's values, statuses and evaluation time; its Inside is the record's.
	Vector features.Vector
	// Outcome is what was recommended. Score and Margin are nil where no model scored.
	Outcome       pb.Outcome
	Score, Margin *float64
	// Model and ModelVersion name who scored.
	Model, ModelVersion string
	// Label is what became known, nil for nothing.
	Label *Label
	// Mature says that the label is there, or has had its time to come.
	Mature bool
	// Propensity is the chance that the example had to be exported; its weight is 1 / Propensity.
	Propensity float64

	setHash, bundleHash [32]byte
}

// Label is the truth about one event, as it last became known.
type Label struct {
	// Name and Source are as the label says.
	Name, Source string
	// Fraud says whether it says so.
	Fraud bool
	// ConfidencePPM is the label's own.
	ConfidencePPM int64
	// OccurredAt is when it became known, by who said it, and ReceivedAt when we heard; microseconds.
	OccurredAt, ReceivedAt int64
}

// ExportSummary counts what an export read.
type ExportSummary struct {
	// Set is the feature set of all examples.
	Set *features.Set
	// Examples were given; Sampled were left out by the draw, Outside by tenant and time.
	Examples, Sampled, Outside uint64
	// OtherSets are decisions by other feature sets, Unscored those that have no vector.
	OtherSets, Unscored uint64
	// Erased are frames of erased subjects: whatever they held is left out.
	Erased uint64
	// Labels are the labels read, Joined the examples that have one.
	Labels, Joined uint64
}

// ErrNothingToExport says that the journal has no decision with a vector.
var ErrNothingToExport = errors.New("no decision with a vector is in the journal")

// Export gives every example to f, in the order of the journal. The example is good until f returns. It reads the journal
// twice, first for the labels, which come after what they are about; those alone are kept in memory, about 150 bytes each.
// start, which may be nil, is called once with the feature set before the first example.
func Export(ctx context.Context, cfg ExportConfig, start func(*features.Set) error, f func(*Example) error) (*ExportSummary, error) {
	if err := cfg.Sample.validate(); err != nil {
		return nil, fmt.Errorf("cannot export: %w", err)
	}
	e := &exporter{
		cfg: cfg, summary: &ExportSummary{}, labels: newLabelBook(cfg.LabelsKnownBy), sets: map[[32]byte]*seenSet{},
		watermarks: features.NewWatermarks(cfg.Engine),
	}
	e.head = cfg.Journal.Head()
	if e.head.IsZero() {
		return nil, ErrNothingToExport
	}
	e.total = 2 * (int64(e.head.Offset-cfg.Journal.Tail().Offset) + 1)
	if err := e.scan(ctx, skimFrame, e.learn); err != nil {
		return nil, fmt.Errorf("cannot export: %w", err)
	}
	if err := e.choose(); err != nil {
		return nil, fmt.Errorf("cannot export: %w", err)
	}
	e.mature = e.watermarks.At()
	if known := cfg.LabelsKnownBy; !known.IsZero() {
		e.mature = min(e.mature, known.UnixMicro())
	}
	if start != nil {
		if err := start(e.summary.Set); err != nil {
			return nil, err
		}
	}
	e.emit = f
	if err := e.scan(ctx, readExample, e.give); err != nil {
		return nil, fmt.Errorf("cannot export: %w", err)
	}
	return e.summary, nil
}

func (r SampleRates) validate() error {
	for name, rate := range map[string]float64{"fraud": r.Fraud, "honest": r.Honest, "unlabelled": r.Unlabelled} {
		if !(rate >= 0 && rate <= 1) {
			return fmt.Errorf("the share of %s examples is %v: it must be more than 0 and at most 1", name, rate)
		}
	}
	return nil
}

// rate gives the share of an example's class.
func (r SampleRates) rate(label *Label) float64 {
	rate := r.Unlabelled
	if label != nil {
		rate = r.Honest
		if label.Fraud {
			rate = r.Fraud
		}
	}
	if rate == 0 {
		return 1
	}
	return rate
}

type exporter struct {
	cfg     ExportConfig
	summary *ExportSummary
	labels  *labelBook
	head    journal.Pos
	done    int64
	total   int64
	// watermarks come to what the maturity of labels is counted to, which is mature.
	watermarks *features.Watermarks
	mature     int64
	// sets are the feature sets that decisions were made by, last the newest's.
	sets map[[32]byte]*seenSet
	last [32]byte
	emit func(*Example) error
}

// seenSet is a feature set that decisions were made by, and a bundle that has it.
type seenSet struct {
	decisions uint64
	bundle    [32]byte
}

// learn takes from a frame what the second pass needs to know.
func (e *exporter) learn(item *exportItem) error {
	if item.occurred != 0 {
		e.watermarks.Note(item.tenant, item.producer, item.occurred, item.time)
	}
	if item.label != nil {
		e.summary.Labels++
		return e.labels.add(item.label)
	}
	if ex := &item.example; ex.setHash != [32]byte{} {
		seen := e.sets[ex.setHash]
		if seen == nil {
			seen = &seenSet{}
			e.sets[ex.setHash] = seen
		}
		seen.decisions++
		seen.bundle, e.last = ex.bundleHash, ex.setHash
	}
	return nil
}

// choose finds the feature set of the export.
func (e *exporter) choose() error {
	var found [][32]byte
	for hash := range e.sets {
		if len(e.cfg.Set) == 0 && hash == e.last || len(e.cfg.Set) > 0 && len(e.cfg.Set) <= len(hash) && bytes.Equal(hash[:len(e.cfg.Set)], e.cfg.Set) {
			found = append(found, hash)
		}
	}
	switch {
	case len(e.sets) == 0:
		return ErrNothingToExport
	case len(found) == 0:
		return fmt.Errorf("no decision was made by a feature set %x", e.cfg.Set)
	case len(found) > 1:
		return fmt.Errorf("%d feature sets begin with %x: give more of the hash", len(found), e.cfg.Set)
	}
	b, err := e.cfg.Registry.Get(e.sets[found[0]].bundle)
	if err != nil {
		return fmt.Errorf("cannot name the values of feature set %x: %w", found[0][:8], err)
	}
	e.summary.Set, e.last = b.Set, found[0]
	return nil
}

// give hands one example on, if it is wanted.
func (e *exporter) give(item *exportItem) error {
	ex, s := &item.example, e.summary
	at := time.UnixMicro(ex.Vector.At)
	switch {
	case item.erased:
		s.Erased++
		return nil
	case !item.decided:
		return nil
	case ex.setHash == [32]byte{}:
		s.Unscored++
		return nil
	case ex.setHash != e.last:
		s.OtherSets++
		return nil
	case e.cfg.Tenant != "" && e.cfg.Tenant != ex.Tenant, !e.cfg.From.IsZero() && at.Before(e.cfg.From),
		!e.cfg.Before.IsZero() && !at.Before(e.cfg.Before):
		s.Outside++
		return nil
	case len(ex.Vector.Values) != len(s.Set.Features) || len(ex.Vector.Status) != len(s.Set.Features):
		return fmt.Errorf("BUG: frame %v has a vector of %d values for a set of %d", ex.Frame, len(ex.Vector.Values), len(s.Set.Features))
	}
	ex.Label = e.labels.find(features.MakeEventKey(ex.Tenant, ex.EventID))
	ex.Mature = ex.Label != nil || ex.Vector.At+e.cfg.Maturity.Microseconds() <= e.mature
	ex.Propensity = e.cfg.Sample.rate(ex.Label)
	if ex.Propensity < 1 && drawn(e.cfg.SampleSeed, ex.Tenant, ex.EventID) >= ex.Propensity {
		s.Sampled++
		return nil
	}
	s.Examples++
	if ex.Label != nil {
		s.Joined++
	}
	return e.emit(ex)
}

// drawn gives the event's draw, in [0, 1): the same at every export by this seed.
func drawn(seed, tenant, eventID string) float64 {
	mac := hmac.New(sha256.New, []byte("pitboss export sample 1\x00"+seed))
	mac.Write([]byte(tenant + "\x00" + eventID + "\x00"))
	return float64(binary.BigEndian.Uint64(mac.Sum(nil))>>11) / (1 << 53)
}
