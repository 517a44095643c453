package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"pitboss/decide"
	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// ErrNoDecision says that a frame holds no decision to replay.
var ErrNoDecision = errors.New("the frame holds no decision")

// Result is the outcome of one replay.
type Result struct {
	// DecisionID is the record's.
	DecisionID string
	// Same says that the outputs have the same bytes, and that the record names what made them.
	Same bool
	// Within says that they are not the same, but the margin is within the tolerance of a model whose bits depend on the machine
	// (models.Info.Tolerance), and all else follows from the recorded margin byte for byte. Same is false then.
	Within bool
	// Diffs are what differs, by the field's path in the frame; none where Same.
	Diffs []Diff
}

// Diff is one value that a record has and a replay does not give.
type Diff struct {
	// Field is the path: decision.outputs.score.
	Field string
	// Recorded and Remade are the two values as text; empty where there is none.
	Recorded, Remade string
}

// String gives the difference in one line.
func (d Diff) String() string {
	return fmt.Sprintf("%s: recorded %s, remade %s", d.Field, orNone(d.Recorded), orNone(d.Remade))
}

func orNone(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// Replay makes a recorded decision again and compares: the content of the event, the names of what decided, and the
// outputs byte by byte. What the record says that it cannot be (an unknown bundle, another logic version) is an error;
// what it says that is not so is a Diff.
func (a *Auditor) Replay(ctx context.Context, frame *pb.EventFrame) (Result, error) {
	record := frame.GetDecision()
	if record == nil {
		return Result{}, ErrNoDecision
	}
	r := Result{DecisionID: record.GetDecisionId()}
	if err := ctx.Err(); err != nil {
		return r, err
	}
	var ev features.Event
	if err := features.Decode(a.cfg.Kinds, frame.GetEvent(), &ev); err != nil {
		return r, fmt.Errorf("cannot replay decision %q: its event: %w", r.DecisionID, err)
	}
	r.compare("content_hash", frame.GetContentHash(), ev.Content[:])
	r.compareText("decision.decision_id", record.GetDecisionId(), ev.Key.String())
	if inside := frame.GetAppliedAt() != nil; record.GetInputs().GetVector() != nil && record.GetInputs().GetEventInside() != inside {
		r.add("decision.inputs.event_inside", fmt.Sprint(!inside), fmt.Sprint(inside))
	}
	if err := a.compareApplied(frame, &ev, &r); err != nil {
		return r, err
	}
	if err := a.compareJudged(record, &ev, &r); err != nil {
		return r, fmt.Errorf("cannot replay decision %q: %w", r.DecisionID, err)
	}
	return r, nil
}

// compareJudged makes the outputs again and compares them; those of a model that is not the same on every machine once more
// by the recorded margin, where only that differs.
func (a *Auditor) compareJudged(record *pb.DecisionRecord, ev *features.Event, r *Result) error {
	c, err := a.caseOf(record, ev)
	if err != nil {
		return err
	}
	r.comparePins(record, c.Bundle, c.Fallback)
	pinned := len(r.Diffs) == 0
	if err := a.compareOutputs(record, c, r); err != nil {
		return err
	}
	r.Same = len(r.Diffs) == 0
	if r.Same || !pinned || c.Bundle == nil || c.Bundle.Model.Info().Tolerance == 0 {
		return nil
	}
	c.Margin = record.GetOutputs().Margin
	again := Result{DecisionID: r.DecisionID}
	if err := a.compareOutputs(record, c, &again); err != nil {
		return err
	}
	if len(again.Diffs) == 0 {
		r.Within, r.Diffs = true, nil
	}
	return nil
}

// caseOf finds what decided.
func (a *Auditor) caseOf(record *pb.DecisionRecord, ev *features.Event) (*decide.Case, error) {
	c := &decide.Case{
		Version: record.GetLogicVersion(), Event: ev, Inputs: record.GetInputs(), Verdicts: record.GetVerdicts(),
		Fallback: a.cfg.Registry.Fallback(),
	}
	switch hash := record.GetInputs().GetBundleHash(); len(hash) {
	case 0: // made without a bundle
	case 32:
		var err error
		if c.Bundle, err = a.cfg.Registry.Get([32]byte(hash)); err != nil {
			return nil, fmt.Errorf("its bundle: %w", err)
		}
	default:
		return nil, fmt.Errorf("its bundle's hash has %d bytes", len(hash))
	}
	return c, nil
}

// compareOutputs makes the outputs again and compares them with the recorded ones.
func (a *Auditor) compareOutputs(record *pb.DecisionRecord, c *decide.Case, r *Result) error {
	scratch, ok := a.pool.Get().(*decide.Scratch)
	if !ok {
		scratch = &decide.Scratch{}
	}
	defer a.pool.Put(scratch)
	out, err := decide.Judge(c, scratch)
	if err != nil {
		return fmt.Errorf("its outputs: %w", err)
	}
	return r.compareOutputs(record.GetOutputs(), out)
}

// compareApplied holds the event of a frame that only added the decision against the event that was applied before.
func (a *Auditor) compareApplied(frame *pb.EventFrame, ev *features.Event, r *Result) error {
	at := frame.GetAppliedAt()
	if at == nil {
		return nil
	}
	pos := journal.Pos{Partition: at.GetPartition(), Offset: at.GetOffset()}
	f, err := a.cfg.Journal.Get(pos)
	if errors.Is(err, journal.ErrGone) || err == nil && f.Erased {
		return nil // retention or erasure took it: there is nothing to compare with
	}
	if err != nil {
		return fmt.Errorf("cannot replay decision %q: the event applied at %v: %w", r.DecisionID, pos, err)
	}
	var applied pb.EventFrame
	if f.Kind != features.FrameEvent {
		return fmt.Errorf("cannot replay decision %q: the frame at %v is of kind %d, no event", r.DecisionID, pos, f.Kind)
	}
	if err := proto.Unmarshal(f.Payload, &applied); err != nil {
		return fmt.Errorf("cannot replay decision %q: the event applied at %v: %w", r.DecisionID, pos, err)
	}
	r.compare("applied_at.content_hash", applied.GetContentHash(), ev.Content[:])
	return nil
}

// comparePins holds what the record says it was made by against the bundle of that hash.
func (r *Result) comparePins(record *pb.DecisionRecord, b *registry.Bundle, fallback *registry.Policy) {
	want, version, ref := &pb.Inputs{PolicyHash: fallback.Hash[:]}, fallback.Version, (*pb.ModelRef)(nil)
	if b != nil {
		want.FeatureSetHash, want.ModelHash = b.Set.Hash[:], b.Model.Info().Hash[:]
		want.CalibrationHash, want.PolicyHash = b.CalibrationHash[:], b.Policy.Hash[:]
		version, ref = b.Policy.Version, b.Ref
	}
	in := record.GetInputs()
	r.compare("decision.inputs.feature_set_hash", in.GetFeatureSetHash(), want.FeatureSetHash)
	r.compare("decision.inputs.model_hash", in.GetModelHash(), want.ModelHash)
	r.compare("decision.inputs.calibration_hash", in.GetCalibrationHash(), want.CalibrationHash)
	r.compare("decision.inputs.policy_hash", in.GetPolicyHash(), want.PolicyHash)
	r.compareText("decision.policy_version", record.GetPolicyVersion(), version)
	r.compareText("decision.model.name", record.GetModel().GetName(), ref.GetName())
	r.compareText("decision.model.version", record.GetModel().GetVersion(), ref.GetVersion())
	r.compareText("decision.model.bundle_hash", record.GetModel().GetBundleHash(), ref.GetBundleHash())
	r.compareText("decision.model.role", record.GetModel().GetRole(), ref.GetRole())
}

// compareOutputs compares bytes, and looks for the fields only where they differ.
func (r *Result) compareOutputs(recorded, remade *pb.Outputs) error {
	a, err := decide.Marshal(recorded)
	if err != nil {
		return fmt.Errorf("recorded: %w", err)
	}
	b, err := decide.Marshal(remade)
	if err != nil {
		return fmt.Errorf("remade: %w", err)
	}
	if bytes.Equal(a, b) {
		return nil
	}
	before := len(r.Diffs)
	r.diff("decision.outputs", recorded.ProtoReflect(), remade.ProtoReflect())
	if len(r.Diffs) == before {
		r.add("decision.outputs", fmt.Sprintf("%x", a), fmt.Sprintf("%x", b)) // unknown fields, or the bits of a NaN
	}
	return nil
}

func (r *Result) compare(field string, recorded, remade []byte) {
	if !bytes.Equal(recorded, remade) {
		r.add(field, fmt.Sprintf("%x", recorded), fmt.Sprintf("%x", remade))
	}
}

func (r *Result) compareText(field, recorded, remade string) {
	if recorded != remade {
		r.add(field, fmt.Sprintf("%q", recorded), fmt.Sprintf("%q", remade))
	}
}

// maxDiffs bounds how much a result says: a record that differs everywhere says it in a few lines.
const maxDiffs = 64

func (r *Result) add(field, recorded, remade string) {
	if len(r.Diffs) < maxDiffs {
		r.Diffs = append(r.Diffs, Diff{field, recorded, remade})
	}
}

// diff lists the fields in which two messages of one type differ, in the order of the descriptor.
func (r *Result) diff(path string, recorded, remade protoreflect.Message) {
	fields := recorded.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		at := path + "." + string(fd.Name())
		switch {
		case fd.IsList():
			r.diffLists(at, fd, recorded.Get(fd).List(), remade.Get(fd).List())
		case fd.Message() != nil && recorded.Has(fd) && remade.Has(fd):
			r.diff(at, recorded.Get(fd).Message(), remade.Get(fd).Message())
		default:
			if a, b := show(recorded, fd), show(remade, fd); a != b {
				r.add(at, a, b)
			}
		}
	}
}

func (r *Result) diffLists(path string, fd protoreflect.FieldDescriptor, recorded, remade protoreflect.List) {
	for i := range max(recorded.Len(), remade.Len()) {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case i >= recorded.Len():
			r.add(at, "", remade.Get(i).String())
		case i >= remade.Len():
			r.add(at, recorded.Get(i).String(), "")
		case fd.Message() != nil:
			r.diff(at, recorded.Get(i).Message(), remade.Get(i).Message())
		default:
			if a, b := recorded.Get(i).String(), remade.Get(i).String(); a != b {
				r.add(at, a, b)
			}
		}
	}
}

// show gives a field as text; empty where it is not set.
func show(m protoreflect.Message, fd protoreflect.FieldDescriptor) string {
	if !m.Has(fd) {
		return ""
	}
	switch v := m.Get(fd); fd.Kind() {
	case protoreflect.BytesKind:
		return fmt.Sprintf("%x", v.Bytes())
	case protoreflect.EnumKind:
		if e := fd.Enum().Values().ByNumber(v.Enum()); e != nil {
			return string(e.Name())
		}
		return fmt.Sprint(v.Enum())
	case protoreflect.StringKind:
		return fmt.Sprintf("%q", strings.ToValidUTF8(v.String(), "?"))
	default:
		return v.String()
	}
}
