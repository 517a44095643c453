package audit_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/audit"
	"pitboss/decide"
	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

func (r *rig) exportConfig() audit.ExportConfig {
	return audit.ExportConfig{Journal: r.journal, Registry: r.registry, Engine: features.DefaultEngineConfig()}
}

// examples exports everything; what it gives is copied.
func (r *rig) examples(cfg audit.ExportConfig) ([]audit.Example, *audit.ExportSummary) {
	r.t.Helper()
	var all []audit.Example
	s, err := audit.Export(r.t.Context(), cfg, nil, func(ex *audit.Example) error {
		kept := *ex
		kept.Vector.Values, kept.Vector.Status = slices.Clone(ex.Vector.Values), slices.Clone(ex.Vector.Status)
		all = append(all, kept)
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return all, s
}

// label is truth about the i-th event, known some seconds after it.
func (r *rig) label(id string, i, seconds, fraud int) {
	r.t.Helper()
	ev := r.event(i, func(e *pb.Event) {
		at := timestamppb.New(time.Unix(start+int64(i*20+seconds), 0))
		e.EventId, e.Type, e.OccurredAt, e.ReceivedAt = id, "label.assigned", at, at
		e.Payload = &pb.Event_LabelAssigned{LabelAssigned: &pb.LabelAssigned{
			TargetEventId: fmt.Sprint("e", i), Label: map[int]string{0: "honest", 1: "fraud"}[fraud], Fraud: int64(fraud), Source: "analyst",
		}}
	})
	if _, err := r.engine.Ingest(r.t.Context(), []features.IngestItem{{Event: ev}}); err != nil {
		r.t.Fatal(err)
	}
}

// An example is what its record says, field by field, and every record with a vector is an example.
func TestExamplesAreRecords(t *testing.T) {
	r := newRig(t)
	r.run()
	all, s := r.examples(r.exportConfig())
	at := 0
	for _, frame := range r.frames() {
		d := frame.Decision
		if len(d.Inputs.FeatureSetHash) == 0 {
			continue
		}
		if at >= len(all) {
			t.Fatalf("only %d examples", len(all))
		}
		ex := &all[at]
		at++
		if ex.EventID != frame.Event.EventId || ex.Tenant != "acme" || ex.EventType != frame.Event.Type || ex.DecisionID != d.DecisionId ||
			ex.Vector.At != d.Inputs.EvaluatedAtUs || ex.Vector.Inside != d.Inputs.EventInside || ex.Outcome != d.Outputs.Outcome ||
			ex.Model != d.Model.GetName() || ex.ModelVersion != d.Model.GetVersion() {
			t.Errorf("example %+v\nof record %v", ex, d)
		}
		if (ex.Score == nil) != (d.Outputs.Score == nil) || ex.Score != nil && (*ex.Score != *d.Outputs.Score || *ex.Margin != *d.Outputs.Margin) {
			t.Errorf("%s: score %v, want %v", ex.EventID, ex.Score, d.Outputs.Score)
		}
		for i, v := range d.Inputs.Vector {
			if math.Float64bits(ex.Vector.Values[i]) != math.Float64bits(v) || byte(ex.Vector.Status[i]) != d.Inputs.Statuses[i] {
				t.Errorf("%s: value %d is %v %v, want %v %v", ex.EventID, i, ex.Vector.Values[i], ex.Vector.Status[i], v, d.Inputs.Statuses[i])
			}
		}
	}
	if at != len(all) || at < 30 || s.Examples != uint64(at) || s.Unscored == 0 || s.Set == nil {
		t.Errorf("%d examples of %d records with a vector; %+v", len(all), at, s)
	}
}

func TestExampleLabels(t *testing.T) {
	r := newRig(t)
	r.use()
	for i := range 10 {
		r.decide(r.event(i, nil), decide.Options{})
	}
	r.label("l1", 2, 100, 1)
	r.label("l3", 2, 500, 1)
	r.label("l2", 2, 300, 0) // came in before the one that is received earlier
	r.label("l4", 3, 5000, 0)
	cfg := r.exportConfig()
	f := func(name, want string) {
		t.Helper()
		all, _ := r.examples(cfg)
		got := ""
		for _, ex := range all {
			word := "-"
			if ex.Label != nil {
				word = ex.Label.Name
			}
			if !ex.Mature {
				word += "?"
			}
			got += word + " "
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	f("all", "- - fraud honest - - - - - - ")
	// The newest event is 5,060 s after the first, and the watermark lies 2 minutes behind: the 40 s of the third are not there.
	cfg.Maturity = 4910 * time.Second
	f("with maturity", "- - fraud honest -? -? -? -? -? -? ")
	cfg.LabelsKnownBy, cfg.Maturity = time.Unix(start+40+400, 0), 410*time.Second
	f("known by, which is what maturity is counted to", "- - honest -? -? -? -? -? -? -? ")
	cfg = r.exportConfig()
	cfg.Sample = audit.SampleRates{Unlabelled: 1e-12}
	f("of the unlabelled hardly one", "fraud honest ")
	cfg = r.exportConfig()
	cfg.From, cfg.Before = time.Unix(start+40, 0), time.Unix(start+80, 0)
	f("between", "fraud honest ")
	cfg.Tenant = "other"
	f("another tenant's", "")
	cfg.Sample.Fraud = 1.5
	if _, err := audit.Export(t.Context(), cfg, nil, nil); err == nil {
		t.Error("a share above 1 is taken")
	}
}

// Erased subjects are left out and counted; a torn record ends the export with its place.
func TestExportLeavesErasedOut(t *testing.T) {
	r := newRig(t)
	r.use()
	for i := range 9 {
		r.decide(r.event(i, nil), decide.Options{})
	}
	if err := r.engine.Erase(t.Context(), "acme", &pb.Identifier{Kind: "player", Value: "p1", Form: pb.Form_FORM_ALIAS}); err != nil {
		t.Fatal(err)
	}
	all, s := r.examples(r.exportConfig())
	if len(all) != 6 || s.Erased != 3 {
		t.Errorf("%d examples, %d erased; want 6 and 3", len(all), s.Erased)
	}
	for _, ex := range all {
		if ex.EventID == "e1" || ex.EventID == "e4" || ex.EventID == "e7" {
			t.Errorf("%s is of an erased subject", ex.EventID)
		}
	}
	if _, err := audit.Export(t.Context(), audit.ExportConfig{Journal: journal.NewMemory(journal.MemoryConfig{}), Registry: r.registry}, nil, nil); !errors.Is(err, audit.ErrNothingToExport) {
		t.Errorf("of an empty journal: got %v", err)
	}
	sealed, err := r.journal.Seal(journal.Frame{Kind: features.FrameEvent, Payload: []byte{0x0a, 0xff}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.journal.Append(sealed); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Export(t.Context(), r.exportConfig(), nil, func(*audit.Example) error { return nil }); err == nil {
		t.Error("a torn frame is passed over")
	}
}

// BenchmarkExport reads 20,000 records twice, as an export does, and writes nothing.
func BenchmarkExport(b *testing.B) {
	r := newRig(b)
	r.use()
	for i := range 2000 {
		r.decide(r.event(i, nil), decide.Options{})
	}
	// One frame many times over: reading is what is measured.
	frames := r.frames()
	for i := range 18_000 {
		payload, err := proto.Marshal(frames[i%len(frames)])
		if err != nil {
			b.Fatal(err)
		}
		sealed, err := r.journal.Seal(journal.Frame{Kind: features.FrameEvent, Payload: payload})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.journal.Append(sealed); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	rows := uint64(0)
	for b.Loop() {
		s, err := audit.Export(b.Context(), r.exportConfig(), nil, func(*audit.Example) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
		rows += s.Examples
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
