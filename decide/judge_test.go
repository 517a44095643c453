package decide_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"

	"pitboss/decide"
	"pitboss/features"
	"pitboss/models"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// The score and the contributions are LightGBM's own; reasons are groups of them.
func TestJudgeGivesTheTrainersFigures(t *testing.T) {
	b, ev := loadTiny(t), bet(t, nil)
	for row, g := range goldens(t, b) {
		out := judge(t, ev, inputs(ev, b, g.vector), top(), b)
		if out.GetMargin() != g.margin || math.Abs(out.GetScore()-g.score) > 1e-12 || math.Abs(out.GetBaseValue()-g.base) > 1e-9 {
			t.Errorf("row %d: margin %v, score %v, base %v; LightGBM says %v, %v, %v", row, out.GetMargin(), out.GetScore(),
				out.GetBaseValue(), g.margin, g.score, g.base)
		}
		if out.ReasonsStatus != "available" || len(out.ContributionsHash) != sha256.Size {
			t.Errorf("row %d: reasons are %q, hash %x", row, out.ReasonsStatus, out.ContributionsHash)
		}
		if out.GetExplainedMargin() != g.margin {
			t.Errorf("row %d: the contributions explain %v, the margin is %v: LightGBM has one", row, out.GetExplainedMargin(), g.margin)
		}
		want := expectReasons(b, &g)
		opts := cmp.Options{
			protocmp.Transform(), protocmp.FilterField(&pb.Reason{}, "contribution", near(1e-9)), protocmp.FilterField(&pb.Reason{}, "share", near(1e-7)),
			protocmp.IgnoreFields(&pb.Reason{}, "text"),
		}
		if diff := cmp.Diff(want, out.Reasons, opts); diff != "" {
			t.Errorf("row %d: reasons (-want +got):\n%s", row, diff)
		}
	}
}

// XGBoost sums in float32: the margin is its own, and the contributions explain the float64 sum of the same leaves.
func TestJudgeXGBoost(t *testing.T) {
	const dir = "../registry/testdata/xgboost"
	b, err := registry.Load(dir, registry.Config{Kinds: newKinds(t)})
	if err != nil {
		t.Fatal(err)
	}
	ev, rounded := bet(t, nil), 0
	for row, g := range goldensOf(t, dir, b) {
		out := judge(t, ev, inputs(ev, b, g.vector), top(), b)
		if out.GetMargin() != g.margin || math.Abs(out.GetScore()-g.score) > 1e-12 || math.Abs(out.GetBaseValue()-g.base) > 2e-5 {
			t.Errorf("row %d: margin %v, score %v, base %v; XGBoost says %v, %v, %v", row, out.GetMargin(), out.GetScore(),
				out.GetBaseValue(), g.margin, g.score, g.base)
		}
		if out.ReasonsStatus != "available" || len(out.Reasons) == 0 {
			t.Errorf("row %d: reasons are %q: %v", row, out.ReasonsStatus, out.Reasons)
		}
		var sum [1]float64
		if err := b.Model.Explain(vectorRow(b, g.vector), new(models.Scratch), sum[:], make([]float64, len(b.Columns))); err != nil {
			t.Fatal(err)
		}
		if sum[0] != out.GetMargin() {
			rounded++
		}
		if out.GetExplainedMargin() != sum[0] {
			t.Errorf("row %d: the contributions explain %v, the leaves' float64 sum is %v", row, out.GetExplainedMargin(), sum[0])
		}
		total, largest := out.GetBaseValue(), math.Max(1, math.Abs(sum[0]))
		for _, c := range explainedBy(t, b, g.vector) {
			total, largest = total+c, math.Max(largest, math.Abs(c))
		}
		if !(math.Abs(total-out.GetExplainedMargin()) <= 1e-9*largest) {
			t.Errorf("row %d: base and contributions make %v of %v", row, total, out.GetExplainedMargin())
		}
	}
	if rounded == 0 {
		t.Error("no margin was rounded: nothing was learned of those that are")
	}
}

// explainedBy are the contributions in the model's order.
func explainedBy(t testing.TB, b *registry.Bundle, vector []float64) []float64 {
	t.Helper()
	phi := make([]float64, len(b.Columns))
	if err := b.Model.Explain(vectorRow(b, vector), new(models.Scratch), make([]float64, 1), phi); err != nil {
		t.Fatal(err)
	}
	return phi
}

// vectorRow is a vector in the model's order.
func vectorRow(b *registry.Bundle, vector []float64) []float64 {
	row := make([]float64, len(b.Columns))
	b.Row(vector, row)
	return row
}

func near(tolerance float64) cmp.Option {
	return cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) <= tolerance })
}

// expectReasons makes the reasons from LightGBM's contributions in the plainest way.
func expectReasons(b *registry.Bundle, g *golden) []*pb.Reason {
	type sum struct {
		reason *registry.Reason
		value  float64
	}
	var up, down []sum
	raised, lowered := 0.0, 0.0
	for i := range b.Reasons.List {
		s := sum{reason: &b.Reasons.List[i]}
		for _, m := range s.reason.Members {
			s.value += g.contributions[m]
		}
		switch {
		case s.value > 0:
			up, raised = append(up, s), raised+s.value
		case s.value < 0:
			down, lowered = append(down, s), lowered+s.value
		}
	}
	slices.SortFunc(up, func(a, b sum) int { return -compare(a.value, b.value) })
	slices.SortFunc(down, func(a, b sum) int { return compare(a.value, b.value) })
	var out []*pb.Reason
	add := func(list []sum, most int, total float64, direction string) {
		for i, s := range list {
			share := s.value / total
			if i == most || share < 0.05 || math.Abs(s.value) < 0.01 {
				return
			}
			strongest := s.reason.Members[0]
			for _, m := range s.reason.Members {
				if g.contributions[m]/s.value > g.contributions[strongest]/s.value {
					strongest = m
				}
			}
			r := &pb.Reason{
				Code: s.reason.Code, Source: "model", Feature: b.Set.Features[strongest].Name, ValueStatus: "present",
				Contribution: new(s.value), Share: new(share), Direction: direction,
			}
			if direction == "raises" {
				r.PlayerText = s.reason.Player.In("en").Execute(nil)
			}
			if v := g.vector[strongest]; math.IsNaN(v) {
				r.Code, r.ValueStatus = s.reason.Code+"_MISSING", "missing"
			} else {
				r.Value = new(v)
			}
			if usual, ok := s.reason.Baseline(strongest); ok {
				r.Baseline = new(usual)
			}
			out = append(out, r)
		}
	}
	add(up, 4, raised, "raises")
	add(down, 2, lowered, "lowers")
	return out
}

func compare(a, b float64) int {
	if a < b {
		return -1
	}
	return 1
}

func TestReasonTexts(t *testing.T) {
	b, ev := loadTiny(t), bet(t, nil)
	got := map[string]string{}
	for _, g := range goldens(t, b) {
		for _, r := range judge(t, ev, inputs(ev, b, g.vector), top(), b).Reasons {
			if _, ok := got[r.Code]; !ok {
				got[r.Code] = r.Text
			}
			if r.Direction == "lowers" && r.PlayerText != "" {
				t.Errorf("%s lowers the risk and has a text for the player: %q", r.Code, r.PlayerText)
			}
		}
	}
	want := map[string]string{
		"BET_VELOCITY":            "Unusually many bets: bets_1h is 17, usually 20 (27 % of the risk)",
		"STAKE_LEVEL":             "Unusual stakes: amount is 273",
		"GAME_CHOICE":             "Games within a day: 1",
		"DEPOSIT_RECENCY":         "Seconds since the last deposit: 474",
		"DEPOSIT_RECENCY_MISSING": "There never was a deposit",
		"SHARED_DEVICE":           "Bets from this device within an hour: 27",
		"SHARED_NETWORK":          "Bets from this network within an hour: 35",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
}

// A list that nothing overrides, then an allow list, then a block list, then the score.
func TestListsOutrankTheScore(t *testing.T) {
	b := loadTiny(t)
	var risky, honest golden
	for _, g := range goldens(t, b) {
		if risky.vector == nil || g.score > risky.score {
			risky = g
		}
		if honest.vector == nil || g.score < honest.score {
			honest = g
		}
	}
	f := func(lists []string, g golden, want pb.Outcome, codes ...string) {
		t.Helper()
		ev := bet(t, func(msg *pb.Event) {
			for _, l := range lists {
				msg.Enrichment.ListHits = append(msg.Enrichment.ListHits, &pb.ListHit{List: l, Version: "3", Kind: "device"})
			}
		})
		out := judge(t, ev, inputs(ev, b, g.vector), top(), b)
		var got []string
		for _, r := range out.Reasons {
			if r.Source == "list" {
				got = append(got, r.Code)
			}
		}
		if out.Outcome != want || !slices.Equal(got, codes) {
			t.Errorf("lists %v, score %.3f: got %v %v, want %v %v", lists, g.score, out.Outcome, got, want, codes)
		}
		if out.Score == nil || out.GetMargin() != g.margin {
			t.Errorf("lists %v: the score is gone", lists)
		}
		// Without a score the lists decide all the same.
		if len(codes) > 0 {
			out = judge(t, ev, inputs(ev, b, g.vector), skipped("model", "deadline", "explain", "deadline"), b)
			if out.Outcome != want || !out.Review || out.Score != nil {
				t.Errorf("lists %v without a score: got %v", lists, out)
			}
		}
	}
	const allow, block = pb.Outcome_OUTCOME_ALLOW, pb.Outcome_OUTCOME_BLOCK
	f(nil, risky, block)
	f(nil, honest, allow)
	f([]string{"nobody_asked"}, honest, allow)
	f([]string{"stolen_device"}, honest, block, "STOLEN_DEVICE")
	f([]string{"stolen_device", "stolen_device"}, honest, block, "STOLEN_DEVICE", "STOLEN_DEVICE")
	f([]string{"trusted"}, risky, allow, "TRUSTED")
	f([]string{"stolen_device", "trusted"}, risky, allow, "TRUSTED")
	f([]string{"trusted", "stolen_device"}, risky, allow, "TRUSTED")
	f([]string{"trusted", "sanctioned"}, honest, block, "SANCTIONED")
	f([]string{"sanctioned", "trusted", "stolen_device"}, honest, block, "SANCTIONED")
}

// Without a score the outcome is the default for the type and the stake: little is let through, much is held.
func TestFallbackByTypeAndStake(t *testing.T) {
	b := loadTiny(t)
	money := func(minor int64, base *int64) *pb.Money {
		return &pb.Money{AmountMinor: minor, Currency: "EUR", BaseMinor: base}
	}
	f := func(name string, change func(*pb.Event), want pb.Outcome) {
		t.Helper()
		ev := bet(t, change)
		for _, bundle := range []*registry.Bundle{b, nil} {
			in := &pb.Inputs{EvaluatedAtUs: ev.OccurredAt}
			out := judge(t, ev, in, skipped("features", "error", "model", "error", "explain", "error"), bundle)
			if out.Outcome != want || !out.Review || out.Score != nil || out.Margin != nil || out.RiskLevel != "" {
				t.Errorf("%s: got %v, want %v, for review and without a score", name, out, want)
			}
			if len(out.Reasons) != 1 || out.Reasons[0].Code != "NO_SCORE" || out.ReasonsStatus != "unavailable" {
				t.Errorf("%s: got the reasons %v", name, out.Reasons)
			}
		}
	}
	const allow, hold = pb.Outcome_OUTCOME_ALLOW, pb.Outcome_OUTCOME_HOLD
	f("a small bet", nil, allow)
	f("a bet just below large", func(e *pb.Event) { e.GetBetPlaced().Amount = money(1, proto.Int64(9_999)) }, allow)
	f("a large bet", func(e *pb.Event) { e.GetBetPlaced().Amount = money(1, proto.Int64(10_000)) }, hold)
	f("a bet of unknown worth", func(e *pb.Event) { e.GetBetPlaced().Amount = money(1, nil) }, hold)
	f("no amount", func(e *pb.Event) {
		e.Type = "session.started"
		e.Payload = &pb.Event_SessionStarted{SessionStarted: &pb.SessionStarted{}}
	}, allow)
	f("a small withdrawal", func(e *pb.Event) {
		e.Type = "payment.withdrawal_requested"
		e.Payload = &pb.Event_PaymentWithdrawalRequested{PaymentWithdrawalRequested: &pb.PaymentWithdrawalRequested{Amount: money(1, proto.Int64(1))}}
	}, hold)
}

// What could not be recorded says no more than the default, and asks for no reaction.
func TestUnrecordedIsTheDefault(t *testing.T) {
	b, ev := loadTiny(t), bet(t, nil)
	for _, g := range goldens(t, b) {
		out := judge(t, ev, inputs(ev, b, g.vector), skipped("record", "not_written"), b)
		if out.Outcome != pb.Outcome_OUTCOME_ALLOW || out.Score != nil || len(out.Reactions) > 0 || !out.Review || out.ExpiresAtUs != 0 {
			t.Errorf("score %v: got %v", g.score, out)
		}
	}
}

func TestReactions(t *testing.T) {
	b := loadTiny(t)
	var block golden
	for _, g := range goldens(t, b) {
		if g.score > 0.95 {
			block = g
		}
	}
	ev := bet(t, nil)
	out := judge(t, ev, inputs(ev, b, block.vector), top(), b)
	if len(out.Reactions) != 2 || out.Reactions[0].Type != "block_action" || out.Reactions[1].Scope != "session" || out.ExpiresAtUs != 0 {
		t.Fatalf("got %v", out)
	}
	again := judge(t, ev, inputs(ev, b, block.vector), top(), b)
	if diff := cmp.Diff(out, again, protocmp.Transform()); diff != "" {
		t.Errorf("the same decision made again (-first +second):\n%s", diff)
	}
	other := bet(t, func(e *pb.Event) { e.EventId = "bet-2"; e.Entities = e.Entities[:1] })
	out2 := judge(t, other, inputs(other, b, block.vector), top(), b)
	if len(out2.Reactions) != 1 || out2.Reactions[0].Type != "block_action" {
		t.Errorf("an event without a session: got the reactions %v", out2.Reactions)
	}
	if out2.Reactions[0].ReactionId == out.Reactions[0].ReactionId || len(out.Reactions[0].ReactionId) != 32 {
		t.Errorf("reaction ids %q and %q of two decisions", out.Reactions[0].ReactionId, out2.Reactions[0].ReactionId)
	}
	// A held decision ends when its longest reaction does.
	b2 := *b
	vip := bet(t, func(e *pb.Event) { e.Brand = "acme-vip" })
	if out := judge(t, vip, inputs(vip, &b2, block.vector), top(), &b2); out.Segment != "vip" || len(out.Reactions) != 0 {
		t.Errorf("the vip segment has no reactions; got %v", out)
	}
	big := bet(t, func(e *pb.Event) { e.GetBetPlaced().Amount.BaseMinor = proto.Int64(1 << 40) })
	held := judge(t, big, inputs(big, b, block.vector), skipped("model", "deadline", "explain", "deadline"), b)
	if held.Outcome != pb.Outcome_OUTCOME_HOLD || held.ExpiresAtUs != start+24*3600*1_000_000 {
		t.Errorf("a held decision expires at %d: %v", held.ExpiresAtUs, held)
	}
}

func TestContributionsHash(t *testing.T) {
	b, ev := loadTiny(t), bet(t, nil)
	vector := goldens(t, b)[0].vector
	row, contributions := make([]float64, len(b.Columns)), make([]float64, len(b.Columns))
	b.Row(vector, row)
	if err := b.Model.Explain(row, &models.Scratch{}, make([]float64, 1), contributions); err != nil {
		t.Fatal(err)
	}
	bySet := make([]float64, len(b.Set.Features))
	for i, at := range b.Columns {
		bySet[at] = contributions[i]
	}
	var bits bytes.Buffer
	if err := binary.Write(&bits, binary.LittleEndian, bySet); err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256(bits.Bytes())
	if got := judge(t, ev, inputs(ev, b, vector), top(), b).ContributionsHash; !bytes.Equal(got, want[:]) {
		t.Errorf("got %x, want %x", got, want)
	}
}

// broken is a model that does what none may do.
type broken struct {
	models.Model
	predict, explain func() error
	off              float64
}

func (m broken) Predict(row []float64, s *models.Scratch, margins []float64) error {
	if m.predict != nil {
		return m.predict()
	}
	return m.Model.Predict(row, s, margins)
}

func (m broken) Explain(row []float64, s *models.Scratch, margins, contributions []float64) error {
	if m.explain != nil {
		return m.explain()
	}
	err := m.Model.Explain(row, s, margins, contributions)
	contributions[0] += m.off
	return err
}

func TestBrokenModels(t *testing.T) {
	b, ev := loadTiny(t), bet(t, nil)
	vector := goldens(t, b)[0].vector
	boom := func() error { panic("boom") }
	fails := func() error { return errors.New("no") }
	for _, test := range []struct {
		model broken
		want  error
	}{
		{broken{predict: boom}, decide.ErrModel},
		{broken{predict: fails}, decide.ErrModel},
		{broken{predict: func() error { return nil }}, nil}, // margin 0 is a margin; the contributions do not add up to it
		{broken{explain: boom}, decide.ErrModel},
		{broken{explain: fails}, decide.ErrModel},
		{broken{off: 1e-6}, models.ErrAdditivity},
		{broken{off: math.NaN()}, models.ErrAdditivity},
	} {
		test.model.Model = b.Model
		b2 := *b
		b2.Model = test.model
		_, err := judgeCase(decide.LogicVersion, ev, inputs(ev, b, vector), top(), &b2)
		if test.want == nil {
			test.want = models.ErrAdditivity
		}
		if !errors.Is(err, test.want) {
			t.Errorf("%+v: got %v, want %v", test.model, err, test.want)
		}
		if hash := fmt.Sprintf("%x", b.Model.Info().Hash); errors.Is(err, models.ErrAdditivity) && !strings.Contains(err.Error(), hash) {
			t.Errorf("%+v: %v does not name the model by its hash %s", test.model, err, hash)
		}
	}
}

// Every field of what the outputs are made from is in their hash; a field that is added to a message and forgotten in
// hash.go fails here.
func TestInputsHashCoversEveryField(t *testing.T) {
	b := loadTiny(t)
	vector := goldens(t, b)[0].vector
	full := func() (*pb.Event, *pb.Inputs, *pb.Verdicts) {
		ev := bet(t, func(e *pb.Event) {
			e.Enrichment.ListHits = []*pb.ListHit{{List: "l", Version: "1", Kind: "ip"}}
			e.Enrichment.Country, e.Enrichment.NicknameSkeleton = "GB", "x"
			e.Enrichment.AsnClass, e.Enrichment.NicknameVersion = "datacenter", "1"
			e.Enrichment.CountryCurrencyMismatch, e.Enrichment.CardCountryMismatch = new(true), new(false)
			e.Enrichment.CardCurrencyMismatch = new(true)
		})
		in := inputs(ev, b, slices.Clone(vector))
		in.Sources = []*pb.SourceValue{{Source: "lists", Version: "1", Feature: "f", Value: proto.Float64(1)}}
		return ev.Msg, in, skipped("explain", "deadline")
	}
	msg, in, v := full()
	hash := func(msg *pb.Event, in *pb.Inputs, v *pb.Verdicts) []byte {
		var ev features.Event
		if err := features.Decode(newKinds(t), msg, &ev); err != nil {
			return nil // what cannot be decoded is noticed too
		}
		out, err := judgeCase(decide.LogicVersion, &ev, in, v, b)
		if err != nil {
			return nil
		}
		return out.InputsHash
	}
	want := hash(msg, in, v)
	if len(want) != sha256.Size {
		t.Fatalf("hash is %x", want)
	}
	changed := 0
	check := func(path string, m protoreflect.Message, hash func() []byte) {
		eachField(path, m, func(path string) {
			changed++
			if bytes.Equal(hash(), want) {
				t.Errorf("%s can be changed without a trace", path)
			}
		})
	}
	check("inputs", in.ProtoReflect(), func() []byte { return hash(msg, in, v) })
	check("verdicts", v.ProtoReflect(), func() []byte { return hash(msg, in, v) })
	check("enrichment", msg.Enrichment.ProtoReflect(), func() []byte { return hash(msg, in, v) })
	check("amount", msg.GetBetPlaced().Amount.ProtoReflect(), func() []byte { return hash(msg, in, v) })
	if !bytes.Equal(hash(msg, in, v), want) {
		t.Fatal("the test did not put everything back")
	}
	if changed < 50 {
		t.Errorf("only %d fields were tried", changed)
	}
}

// eachField changes every field of a message in turn, set or not, calls f, and puts it back.
func eachField(path string, m protoreflect.Message, f func(path string)) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		at := path + "." + string(fd.Name())
		had, old := m.Has(fd), m.Get(fd)
		restore := func() {
			if had {
				m.Set(fd, old)
			} else {
				m.Clear(fd)
			}
		}
		switch {
		case fd.IsList():
			list := m.Mutable(fd).List()
			for k := range list.Len() {
				if fd.Message() != nil {
					eachField(fmt.Sprintf("%s[%d]", at, k), list.Get(k).Message(), f)
					continue
				}
				was := list.Get(k)
				list.Set(k, different(fd, was))
				f(fmt.Sprintf("%s[%d]", at, k))
				list.Set(k, was)
			}
			list.Append(list.NewElement())
			f(at + "+")
			list.Truncate(list.Len() - 1)
			if n := list.Len(); n > 0 {
				last := list.Get(n - 1)
				list.Truncate(n - 1)
				f(at + "-")
				list.Append(last)
			}
		case fd.Message() != nil:
			if had {
				eachField(at, m.Mutable(fd).Message(), f)
				m.Clear(fd)
				f(at)
				restore()
			} else {
				m.Mutable(fd)
				f(at)
				restore()
			}
		default:
			m.Set(fd, different(fd, old))
			f(at)
			restore()
		}
	}
}

func different(fd protoreflect.FieldDescriptor, v protoreflect.Value) protoreflect.Value {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(!v.Bool())
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(v.Enum() + 1)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(v.String() + "x")
	case protoreflect.BytesKind:
		b := append(slices.Clone(v.Bytes()), 1)
		b[0] ^= 1
		return protoreflect.ValueOfBytes(b)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(math.Float64frombits(math.Float64bits(v.Float()) ^ 1))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(v.Uint()) + 1)
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(v.Uint() + 1)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(v.Int() + 1)
	default:
		panic("no different value for " + fd.Kind().String())
	}
}

func TestJudgeRefuses(t *testing.T) {
	b, ev := loadTiny(t), bet(t, nil)
	good := inputs(ev, b, goldens(t, b)[0].vector)
	if _, err := judgeCase(decide.LogicVersion+1, ev, good, top(), b); !errors.Is(err, decide.ErrLogicVersion) {
		t.Errorf("got %v, want ErrLogicVersion", err)
	}
	for _, test := range []struct {
		name   string
		change func(*pb.Inputs)
		bundle *registry.Bundle
	}{
		{"a short vector", func(in *pb.Inputs) { in.Vector = in.Vector[1:] }, b},
		{"no vector", func(in *pb.Inputs) { in.Vector, in.Statuses = nil, nil }, b},
		{"short statuses", func(in *pb.Inputs) { in.Statuses = nil }, b},
		{"another time", func(in *pb.Inputs) { in.EvaluatedAtUs++ }, b},
		{"an infinite value", func(in *pb.Inputs) { in.Vector[0] = math.Inf(1) }, b},
		{"no bundle", func(*pb.Inputs) {}, nil},
	} {
		in := proto.CloneOf(good)
		test.change(in)
		if out, err := judgeCase(decide.LogicVersion, ev, in, top(), test.bundle); err == nil {
			t.Errorf("%s: got %v, want an error", test.name, out)
		}
	}
}
