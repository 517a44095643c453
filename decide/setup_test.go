package decide_test

import (
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/decide"
	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// tiny is the bundle that the tests decide by: ten features, 40 trees, trained on simulated rows.
const tiny = "../registry/testdata/tiny"

func newKinds(t testing.TB) *features.Kinds {
	t.Helper()
	kinds, err := features.NewKinds(nil)
	if err != nil {
		t.Fatal(err)
	}
	return kinds
}

func loadTiny(t testing.TB) *registry.Bundle {
	t.Helper()
	b, err := registry.Load(tiny, registry.Config{Kinds: newKinds(t)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// start is when the tests' events happen.
const start = 1_760_000_000_000_000

// bet is a stored bet: aliased and enriched, as the edge leaves it. change may alter it before it is decoded.
func bet(t testing.TB, change func(*pb.Event)) *features.Event {
	t.Helper()
	base := int64(500)
	msg := &pb.Event{
		EventId: "bet-1", Type: "bet.placed", SchemaVersion: 100, Tenant: "acme", Brand: "acme",
		OccurredAt: timestamppb.New(time.UnixMicro(start)), ReceivedAt: timestamppb.New(time.UnixMicro(start + 40_000)),
		Entities: []*pb.Identifier{
			{Kind: "player", Value: "p1", Form: pb.Form_FORM_ALIAS}, {Kind: "session", Value: "s1", Form: pb.Form_FORM_ALIAS},
			{Kind: "device", Value: "d1", Form: pb.Form_FORM_ALIAS}, {Kind: "game", Value: "g1", Form: pb.Form_FORM_ALIAS},
			{Kind: "ip", Value: "i1", Form: pb.Form_FORM_ALIAS},
		},
		Trust: pb.Trust_TRUST_SERVER,
		Enrichment: &pb.Enrichment{
			Derived:      []*pb.Identifier{{Kind: "ip24", Value: "n1", Form: pb.Form_FORM_ALIAS}},
			AddressClass: "eyeball", AddressVersion: "a1", RatesVersion: "r1", AliasKeyId: "k1",
		},
		Payload: &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{
			Amount: &pb.Money{AmountMinor: 500, Currency: "EUR", BaseMinor: &base},
		}},
	}
	if change != nil {
		change(msg)
	}
	var ev features.Event
	if err := features.Decode(newKinds(t), msg, &ev); err != nil {
		t.Fatal(err)
	}
	return &ev
}

// golden is one row of the bundle's golden rows: what the library itself said of it.
type golden struct {
	vector              []float64 // in the feature set's order
	margin, score, base float64
	contributions       []float64 // in the feature set's order
}

func goldens(t testing.TB, b *registry.Bundle) []golden {
	t.Helper()
	return goldensOf(t, tiny, b)
}

func goldensOf(t testing.TB, dir string, b *registry.Bundle) []golden {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "golden.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []golden
	for _, r := range records[1:] {
		n := len(b.Columns)
		v := make([]float64, len(r))
		for i, cell := range r {
			if v[i] = math.NaN(); cell != "" {
				if v[i], err = strconv.ParseFloat(cell, 64); err != nil {
					t.Fatal(err)
				}
			}
		}
		g := golden{margin: v[n], score: v[n+1], base: v[n+2]}
		g.vector, g.contributions = make([]float64, len(b.Set.Features)), make([]float64, len(b.Set.Features))
		for i, at := range b.Columns {
			g.vector[at], g.contributions[at] = v[i], v[n+3+i]
		}
		out = append(out, g)
	}
	return out
}

// inputs pins a vector for an event, with all hashes of the bundle.
func inputs(ev *features.Event, b *registry.Bundle, vector []float64) *pb.Inputs {
	model := b.Model.Info()
	in := &pb.Inputs{
		EvaluatedAtUs: ev.OccurredAt, Vector: vector, Statuses: make([]byte, len(vector)),
		Pins:           []*pb.Pin{{Entity: 0, Position: &pb.Position{Offset: 7}}, {Entity: 2}},
		FeatureSetHash: b.Set.Hash[:], BundleHash: b.Hash[:], ModelHash: model.Hash[:],
		CalibrationHash: b.CalibrationHash[:], PolicyHash: b.Policy.Hash[:],
		RatesVersion: "r1", AliasKeyId: "k1",
	}
	for i, v := range vector {
		if math.IsNaN(v) {
			in.Statuses[i] = byte(features.Missing)
		}
	}
	return in
}

func judge(t testing.TB, ev *features.Event, in *pb.Inputs, v *pb.Verdicts, b *registry.Bundle) *pb.Outputs {
	t.Helper()
	out, err := judgeCase(decide.LogicVersion, ev, in, v, b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func top() *pb.Verdicts { return &pb.Verdicts{Explain: pb.Explain_EXPLAIN_TOP} }

// skipped are verdicts with stage, cause pairs.
func skipped(pairs ...string) *pb.Verdicts {
	v := top()
	for i := 0; i < len(pairs); i += 2 {
		v.Skipped = append(v.Skipped, &pb.Degraded{Stage: pairs[i], Cause: pairs[i+1]})
	}
	return v
}

func judgeCase(version uint32, ev *features.Event, in *pb.Inputs, v *pb.Verdicts, b *registry.Bundle) (*pb.Outputs, error) {
	c := &decide.Case{Version: version, Event: ev, Inputs: in, Verdicts: v, Bundle: b, Fallback: registry.FallbackPolicy()}
	return decide.Judge(c, &decide.Scratch{})
}
