package decide_test

import (
	"bufio"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"pitboss/decide"
	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// inFull gives a recorded decision as EXPLAIN_FULL shows it.
func inFull(t testing.TB, reg *registry.Registry, ev *features.Event, in *pb.Inputs, v *pb.Verdicts, b *registry.Bundle) *pb.Decision {
	t.Helper()
	record := &pb.DecisionRecord{
		DecisionId: ev.Key.String(), LogicVersion: decide.LogicVersion, Inputs: in, Verdicts: v, Outputs: judge(t, ev, in, v, b),
	}
	a := decide.Answer(&pb.EventFrame{Event: ev.Msg, Decision: record})
	if err := decide.AddFeatures(a, ev, record, reg); err != nil {
		t.Fatal(err)
	}
	return a
}

func registryOf(t testing.TB, b *registry.Bundle) *registry.Registry {
	t.Helper()
	reg, err := registry.Open(registry.Config{Kinds: newKinds(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.Activate(b); err != nil {
		t.Fatal(err)
	}
	return reg
}

// thresholdsOf reads a LightGBM model's thresholds by feature, out of its text.
func thresholdsOf(t testing.TB, dir string) map[string][]float64 {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "model.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var names, tested []string
	out := map[string][]float64{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, values, _ := strings.Cut(lines.Text(), "=")
		switch key {
		case "feature_names":
			names = strings.Fields(values)
		case "split_feature":
			tested = strings.Fields(values)
		case "threshold":
			for i, text := range strings.Fields(values) {
				at, err1 := strconv.Atoi(tested[i])
				x, err2 := strconv.ParseFloat(text, 64)
				if err1 != nil || err2 != nil {
					t.Fatal(err1, err2)
				}
				out[names[at]] = append(out[names[at]], x)
			}
		}
	}
	for name := range out {
		slices.Sort(out[name])
		out[name] = slices.Compact(out[name])
	}
	return out
}

// tried is a change that was found by trying.
type tried struct {
	feature    string
	value      float64
	outcome    pb.Outcome
	points     float64
	thresholds int
}

// tryAll decides the row again with every value of every feature at which the model can change its mind, but those of
// immutable reasons, and gives the closest change to a wanted outcome, and the closest that allows.
func tryAll(
	t testing.TB, b *registry.Bundle, ev *features.Event, vector []float64, cuts map[string][]float64, wanted func(pb.Outcome) bool,
) (moved, allowed *tried) {
	t.Helper()
	var scratch decide.Scratch
	for _, at := range b.Columns { // in the model's order: of equal ones the first is taken
		name, own := b.Set.Features[at].Name, vector[at]
		if b.Reasons.Of(at).Immutable || math.IsNaN(own) {
			continue
		}
		candidates := map[float64]bool{}
		for _, c := range cuts[name] {
			if c < own {
				candidates[c] = true
			} else {
				candidates[math.Nextafter(c, math.Inf(1))] = true
			}
		}
		from, _ := b.Percentile(at, own)
		changed := slices.Clone(vector)
		for _, x := range sortedKeys(candidates) {
			changed[at] = x
			out, err := decide.Judge(&decide.Case{
				Version: decide.LogicVersion, Event: ev, Inputs: inputs(ev, b, changed), Verdicts: in("en"), Bundle: b, Fallback: registry.FallbackPolicy(),
			}, &scratch)
			if err != nil {
				t.Fatal(err)
			}
			if !wanted(out.Outcome) {
				continue
			}
			to, _ := b.Percentile(at, x)
			c := tried{name, x, out.Outcome, math.Abs(to - from), between(cuts[name], own, x)}
			if c.closer(moved) {
				moved = &c
			}
			if c.outcome == pb.Outcome_OUTCOME_ALLOW && c.closer(allowed) {
				allowed = &c
			}
		}
	}
	return moved, allowed
}

func (c *tried) closer(than *tried) bool {
	return than == nil || c.points < than.points || c.points == than.points && c.thresholds < than.thresholds
}

// between counts the thresholds that part two values.
func between(cuts []float64, a, b float64) int {
	n := 0
	for _, c := range cuts {
		if (a <= c) != (b <= c) {
			n++
		}
	}
	return n
}

func sortedKeys(m map[float64]bool) []float64 {
	var keys []float64
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// TestPropertyCounterfactualIsTheClosest: nothing that is closer is found by deciding again at every threshold of every
// feature; with a profile closeness is by percentile, without by thresholds. And what the counterfactual says holds at both of its
// bounds, and not beyond them.
func TestPropertyCounterfactualIsTheClosest(t *testing.T) {
	for _, dir := range []string{worded, tiny} {
		b, err := registry.Load(dir, registry.Config{Kinds: newKinds(t)})
		if err != nil {
			t.Fatal(err)
		}
		reg, cuts, ev := registryOf(t, b), thresholdsOf(t, dir), bet(t, nil)
		seen := map[pb.Outcome]int{}
		for row, g := range goldensOf(t, dir, b) {
			if row%2 == 1 {
				continue // half of them are enough, and hold every outcome
			}
			a := inFull(t, reg, ev, inputs(ev, b, g.vector), in("en"), b)
			seen[a.Outcome]++
			moves := func(o pb.Outcome) bool {
				return o < a.Outcome || a.Outcome == pb.Outcome_OUTCOME_ALLOW && o > a.Outcome
			}
			moved, allowed := tryAll(t, b, ev, g.vector, cuts, moves)
			want := []*tried{moved}
			if moved != nil && moved.outcome != pb.Outcome_OUTCOME_ALLOW {
				want = append(want, allowed)
			}
			want = slices.DeleteFunc(want, func(c *tried) bool { return c == nil })
			if len(a.Counterfactuals) != len(want) || (a.CounterfactualStatus == "found") != (len(want) > 0) {
				t.Fatalf("%s, row %d, %v: %s %v, by trying %+v", dir, row, a.Outcome, a.CounterfactualStatus, a.Counterfactuals, want)
			}
			for i, c := range a.Counterfactuals {
				w := want[i]
				if c.Feature != w.feature || c.Outcome != w.outcome || int(c.Thresholds) != w.thresholds || c.GetPercentilePoints() != w.points ||
					(c.PercentilePoints != nil) != (b.Profile != nil) {
					t.Errorf("%s, row %d, %v: %v, by trying %+v", dir, row, a.Outcome, c, w)
				}
				checkBounds(t, b, ev, g.vector, c)
			}
		}
		if len(seen) < 3 {
			t.Errorf("%s: only the outcomes %v were seen", dir, seen)
		}
	}
}

// checkBounds decides again at the bounds of a counterfactual, and just beyond them.
func checkBounds(t testing.TB, b *registry.Bundle, ev *features.Event, vector []float64, c *pb.Counterfactual) {
	t.Helper()
	at := featureAt(b, c.Feature)
	decideAt := func(x float64) (pb.Outcome, float64) {
		changed := slices.Clone(vector)
		changed[at] = x
		out := judge(t, ev, inputs(ev, b, changed), in("en"), b)
		return out.Outcome, out.GetScore()
	}
	near := false
	for _, x := range []*float64{c.AtLeast, c.AtMost} {
		if x == nil {
			continue
		}
		o, score := decideAt(*x)
		near = near || score == c.Score
		if o != c.Outcome {
			t.Errorf("%v: at %v the outcome is %v", c, *x, o)
		}
	}
	if !near || c.AtLeast == nil && c.AtMost == nil || c.Value != vector[at] {
		t.Errorf("%v: the score is of neither bound, or the value is not %v", c, vector[at])
	}
	if c.AtLeast != nil {
		if o, _ := decideAt(math.Nextafter(*c.AtLeast, math.Inf(-1))); o == c.Outcome {
			t.Errorf("%v: below %v the outcome is the same", c, *c.AtLeast)
		}
	}
	if c.AtMost != nil {
		if o, _ := decideAt(math.Nextafter(*c.AtMost, math.Inf(1))); o == c.Outcome {
			t.Errorf("%v: above %v the outcome is the same", c, *c.AtMost)
		}
	}
}

// What is no counterfactual, and why.
func TestCounterfactualStatus(t *testing.T) {
	b := loadWorded(t)
	reg, vector := registryOf(t, b), goldensOf(t, worded, b)[0].vector
	f := func(what, want string, ev *features.Event, v *pb.Verdicts) {
		t.Helper()
		a := inFull(t, reg, ev, inputs(ev, b, vector), v, b)
		if a.CounterfactualStatus != want || (want == "found") != (len(a.Counterfactuals) > 0) {
			t.Errorf("%s: %q, %v", what, a.CounterfactualStatus, a.Counterfactuals)
		}
	}
	f("a score", "found", bet(t, nil), in("en"))
	f("a list", "not_applicable", bet(t, func(e *pb.Event) {
		e.Enrichment.ListHits = []*pb.ListHit{{List: "trusted", Version: "7", Kind: "player"}}
	}), in("en"))
	f("no score", "not_applicable", bet(t, nil), skipped("model", "deadline", "explain", "deadline"))

	r := newRig(t, memory(), b)
	full := decide.Options{Explain: pb.Explain_EXPLAIN_FULL, Language: "de"}
	ev := bet(t, func(e *pb.Event) { e.GetBetPlaced().Amount.BaseMinor = proto.Int64(5000) })
	d := r.decide(ev, full)
	if len(d.Counterfactuals) == 0 || !strings.Contains(d.Counterfactuals[0].Text, ", wenn ") {
		t.Fatalf("%v", d.Counterfactuals)
	}
	same(t, "asked again", d, r.decide(ev, full))
	if d := r.decide(numbered(t, 1), decide.Options{}); d.CounterfactualStatus != "" || d.Counterfactuals != nil {
		t.Errorf("nobody asked for %v", d.Counterfactuals)
	}

	b2 := *b
	b2.Model = broken{Model: b.Model} // answers no slower questions
	if d := newRig(t, memory(), &b2).decide(bet(t, nil), full); d.CounterfactualStatus != "unavailable" {
		t.Errorf("a model without a sweep: %q", d.CounterfactualStatus)
	}
}

// Texts are rounded inwards: what they say holds.
func TestCounterfactualTexts(t *testing.T) {
	b := loadWorded(t)
	reg, ev := registryOf(t, b), bet(t, nil)
	texts := map[string]bool{}
	for _, g := range goldensOf(t, worded, b) {
		for _, c := range inFull(t, reg, ev, inputs(ev, b, g.vector), in("en"), b).Counterfactuals {
			texts[c.Text] = true
			outcome := strings.ToLower(strings.TrimPrefix(c.Outcome.String(), "OUTCOME_"))
			rest, ok := strings.CutPrefix(c.Text, fmt.Sprintf("%s, were %s ", outcome, c.Feature))
			var low, high float64
			switch {
			case c.AtLeast == nil:
				_, err := fmt.Sscanf(rest, "%g or less", &high)
				ok = ok && err == nil && high <= c.GetAtMost()
			case c.AtMost == nil:
				_, err := fmt.Sscanf(rest, "%g or more", &low)
				ok = ok && err == nil && low >= c.GetAtLeast()
			default:
				_, err := fmt.Sscanf(rest, "%g to %g", &low, &high)
				ok = ok && err == nil && low >= c.GetAtLeast() && high <= c.GetAtMost() && low <= high
			}
			if !ok {
				t.Errorf("%v", c)
			}
		}
	}
	if len(texts) < 5 {
		t.Errorf("only %v", texts)
	}
}

// BenchmarkExplainFull is what EXPLAIN_FULL adds for 200 x 31 x 64: with version 1 every feature's value and contribution, which
// are computed again; with version 2 counterfactuals as well. They are the difference.
func BenchmarkExplainFull(b *testing.B) {
	bundle := bigBundle(b)
	reg := registryOf(b, bundle)
	ev := bet(b, nil)
	for version, language := range []string{1: "", 2: "en"} {
		if version == 0 {
			continue
		}
		b.Run(fmt.Sprint("version=", version), func(b *testing.B) {
			var records []*pb.DecisionRecord
			for _, row := range benchVectors(256) {
				r := &pb.DecisionRecord{LogicVersion: uint32(version), Inputs: inputs(ev, bundle, row), Verdicts: in(language)}
				var err error
				if r.Outputs, err = judgeCase(r.LogicVersion, ev, r.Inputs, r.Verdicts, bundle); err != nil {
					b.Fatal(err)
				}
				records = append(records, r)
			}
			found := 0
			for i := 0; b.Loop(); i++ {
				r := records[i%len(records)]
				a := decide.Answer(&pb.EventFrame{Event: ev.Msg, Decision: r})
				if err := decide.AddFeatures(a, ev, r, reg); err != nil {
					b.Fatal(err)
				}
				found += len(a.Counterfactuals)
			}
			b.ReportMetric(float64(found)/float64(b.N), "found/op")
		})
	}
}

// benchVectors are rows shaped like the training rows of the big model (models/testdata/gen_goldens.py).
func benchVectors(n int) [][]float64 {
	rng := rand.New(rand.NewPCG(7, 11))
	rows := make([][]float64, n)
	for i := range rows {
		row := make([]float64, 64)
		for j := range row {
			row[j] = rng.NormFloat64()
			if j%3 == 0 {
				row[j] = math.Exp(row[j])
			}
			if j%8 == 1 {
				row[j] = math.Round(math.Abs(row[j]) * 7)
			}
			if j%4 == 0 && rng.Float64() < 0.1 {
				row[j] = math.NaN()
			}
		}
		rows[i] = row
	}
	return rows
}
