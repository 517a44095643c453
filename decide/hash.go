package decide

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"

	"google.golang.org/protobuf/proto"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

// Marshal gives the bytes that replay compares. Outputs have no maps, so the same message has the same bytes.
func Marshal(out *pb.Outputs) ([]byte, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("cannot marshal outputs: %w", err)
	}
	return b, nil
}

// reactionID is H(decision, type, scope): the same decision made again asks for the same reactions.
func reactionID(event features.EventKey, kind, scope string) string {
	h := sha256.New()
	h.Write([]byte("reaction\x00"))
	h.Write(event[:])
	h.Write([]byte(kind + "\x00" + scope))
	var sum [sha256.Size]byte
	return hex.EncodeToString(h.Sum(sum[:0])[:16])
}

// contributionsHash is SHA-256 over every feature's contribution, little-endian, in the feature set's order, zero
// where the model does not use the feature.
func (j *judgment) contributionsHash() [32]byte {
	d := digest(j.buf[:0])
	for _, c := range j.bySet {
		d.float(c)
	}
	j.buf = d
	return sha256.Sum256(d)
}

// inputsHash is SHA-256 over what the outputs were made from: the event's content, what the edge added to it, the
// inputs and the verdicts. Outputs carry it so that a change to an input shows even where the model does not look. It
// is written out by hand, field by field in the order of their numbers, because the Protobuf library does not promise
// the same bytes from one version to the next; a test holds it against the messages' descriptors.
func (j *judgment) inputsHash() [32]byte {
	d := digest(j.buf[:0])
	d.event(j.ev)
	d.inputs(j.in)
	d.verdicts(j.verdicts)
	if j.version >= firstWorded {
		d.text(j.verdicts.GetLanguage())
		d.enrichment2(j.ev.Msg.GetEnrichment())
	}
	j.buf = d
	return sha256.Sum256(d)
}

// digest collects bytes to be hashed. Everything of variable length goes after its length, so that no two different
// values give the same bytes.
type digest []byte

func (d *digest) uint(v uint64)   { *d = binary.LittleEndian.AppendUint64(*d, v) }
func (d *digest) float(v float64) { d.uint(math.Float64bits(v)) }

func (d *digest) text(v string) {
	d.uint(uint64(len(v)))
	*d = append(*d, v...)
}

func (d *digest) bytes(v []byte) {
	d.uint(uint64(len(v)))
	*d = append(*d, v...)
}

func (d *digest) flag(v bool) {
	b := byte(0)
	if v {
		b = 1
	}
	*d = append(*d, b)
}

// optional tells what is not known from no and yes.
func (d *digest) optional(v *bool) {
	d.flag(v != nil)
	d.flag(v != nil && *v)
}

// event takes the content by its hash, and then all that the content hash leaves out but the trace: received_at, the
// enrichment, and amounts in the base currency.
func (d *digest) event(ev *features.Event) {
	*d = append(*d, ev.Content[:]...)
	d.uint(uint64(ev.Msg.GetReceivedAt().GetSeconds()))
	d.uint(uint64(ev.Msg.GetReceivedAt().GetNanos()))
	for i := range ev.Fields {
		if f := &ev.Fields[i]; strings.HasSuffix(f.Name, "_base") && f.Type == features.FieldInt {
			d.text(f.Name)
			d.uint(uint64(f.Int))
		}
	}
	e := ev.Msg.GetEnrichment()
	d.flag(e != nil)
	d.uint(uint64(len(e.GetDerived())))
	for _, i := range e.GetDerived() {
		d.text(i.GetKind())
		d.text(i.GetValue())
		d.uint(uint64(i.GetForm()))
	}
	d.text(e.GetAddressClass())
	d.text(e.GetCountry())
	d.text(e.GetAddressVersion())
	d.text(e.GetNicknameSkeleton())
	d.uint(uint64(len(e.GetListHits())))
	for _, h := range e.GetListHits() {
		d.text(h.GetList())
		d.text(h.GetVersion())
		d.text(h.GetKind())
	}
	d.text(e.GetRatesVersion())
	d.text(e.GetAliasKeyId())
}

// enrichment2 takes what the edge adds since logic version 2.
func (d *digest) enrichment2(e *pb.Enrichment) {
	if e == nil {
		e = &pb.Enrichment{}
	}
	d.text(e.GetAsnClass())
	d.optional(e.CountryCurrencyMismatch)
	d.optional(e.CardCountryMismatch)
	d.optional(e.CardCurrencyMismatch)
	d.text(e.GetNicknameVersion())
}

func (d *digest) inputs(in *pb.Inputs) {
	d.uint(uint64(in.GetEvaluatedAtUs()))
	d.flag(in.GetEventInside())
	d.uint(uint64(len(in.GetPins())))
	for _, p := range in.GetPins() {
		d.uint(uint64(p.GetEntity()))
		d.flag(p.GetPosition() != nil)
		d.uint(uint64(p.GetPosition().GetPartition()))
		d.uint(p.GetPosition().GetOffset())
	}
	d.uint(uint64(len(in.GetVector())))
	for _, v := range in.GetVector() {
		d.float(v)
	}
	d.bytes(in.GetStatuses())
	d.uint(uint64(len(in.GetSources())))
	for _, s := range in.GetSources() {
		d.text(s.GetSource())
		d.text(s.GetVersion())
		d.text(s.GetFeature())
		d.flag(s.Value != nil)
		d.float(s.GetValue())
	}
	d.bytes(in.GetFeatureSetHash())
	d.bytes(in.GetBundleHash())
	d.bytes(in.GetModelHash())
	d.bytes(in.GetCalibrationHash())
	d.bytes(in.GetPolicyHash())
	d.text(in.GetRatesVersion())
	d.text(in.GetAliasKeyId())
}

func (d *digest) verdicts(v *pb.Verdicts) {
	d.uint(uint64(len(v.GetSkipped())))
	for _, s := range v.GetSkipped() {
		d.text(s.GetStage())
		d.text(s.GetCause())
	}
	d.uint(uint64(v.GetExplain()))
}
