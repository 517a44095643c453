package sim_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	pb "pitboss/proto/pitboss/v1"
	"pitboss/sim"
)

// A generator leaks when something that no detector should see tells fraud from honest. These tests hold the ways in
// which that usually happens: fields that only one side fills, and identifiers, order and low digits that differ.

func leakConfig(c *sim.Config) {
	c.Players, c.Activity, c.Duration = 500, 5, 6*24*time.Hour
	for t := range c.Mix.Frauds {
		c.Mix.Frauds[t] = sim.Fraud{Share: 0.01} // mimicry 0: what is crude leaks most
	}
	c.Mix.Frauds[sim.MetronomeBot].Share = 0.002 // one bot tells as much as a hundred players
	c.Labels.Reviewed, c.Labels.Delay, c.Mix.Hunters = 0.2, 12*time.Hour, 0.1
}

// filled adds every path of a message that is set.
func filled(m protoreflect.Message, prefix string, into map[string]int) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		path := prefix + "." + string(fd.Name())
		into[path]++
		switch {
		case fd.IsList():
			for i := range v.List().Len() {
				id := v.List().Get(i).Message()
				kind := id.Get(id.Descriptor().Fields().ByName("kind")).String()
				filled(id, path+"["+kind+"]", into)
			}
		case fd.Message() != nil:
			filled(v.Message(), path, into)
		}
		return true
	})
}

func isAbout(ev *pb.Event, kind string) bool { return entityOf(ev, kind) != "" }

func TestNobodyFillsFieldsOfTheirOwn(t *testing.T) {
	s := newSim(t, leakConfig)
	honest, fraud := map[string]int{}, map[string]int{}
	// Of what is frequent, some is enough: reading fields by reflection costs more than making them.
	const enough = 4000
	for ev, ok := s.Next(); ok && s.Events() < 600_000; ev, ok = s.Next() {
		into := honest
		if s.Truth().Fraud {
			into = fraud
		}
		if !isAbout(ev, "player") {
			continue // a meter, a board, a table: nobody's
		}
		if into[ev.GetType()]++; into[ev.GetType()] <= enough {
			filled(ev.ProtoReflect(), ev.GetType(), into)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(fraud)) {
		if honest[path] == 0 && fraud[path] >= 5 {
			t.Errorf("%s is filled by frauds alone (%d times)", path, fraud[path])
		}
	}
	// What is rare may be missing among few frauds by chance.
	for _, path := range slices.Sorted(maps.Keys(honest)) {
		if fraud[path] == 0 && honest[path] > 300 {
			t.Errorf("%s is filled by honest players alone (%d times)", path, honest[path])
		}
	}
}

// trait is a number read from what must tell nothing.
type trait struct {
	name  string
	value func(ev *pb.Event) float64
}

func traits() []trait {
	var out []trait
	hexAt := func(s string, i int) float64 {
		v, err := strconv.ParseUint(s[i:i+1], 16, 8)
		if err != nil {
			return math.NaN()
		}
		return float64(v)
	}
	for _, i := range []int{0, 7, 10, 14, 19, 35} {
		out = append(out, trait{fmt.Sprintf("event_id[%d]", i), func(ev *pb.Event) float64 { return hexAt(ev.GetEventId(), i) }})
	}
	for _, kind := range []string{"player", "account", "session", "device"} {
		for _, i := range []int{2, 17} {
			out = append(out, trait{fmt.Sprintf("%s[%d]", kind, i), func(ev *pb.Event) float64 {
				for _, id := range ev.GetEntities() {
					if id.GetKind() == kind {
						return hexAt(id.GetValue(), i)
					}
				}
				return math.NaN()
			}})
		}
	}
	micros := func(ev *pb.Event) int64 { return ev.GetOccurredAt().AsTime().UnixMicro() }
	return append(out,
		trait{"transaction_id[17]", func(ev *pb.Event) float64 { return hexAt(ev.GetTransactionId(), 17) }},
		trait{"last digit of microseconds", func(ev *pb.Event) float64 { return float64(micros(ev) % 10) }},
		trait{"milliseconds in the second", func(ev *pb.Event) float64 { return float64(micros(ev) / 1000 % 1000) }},
		trait{"producer_seq, last digit", func(ev *pb.Event) float64 { return float64(ev.GetProducerSeq() % 10) }},
	)
}

// One observation for each player, not for each event: a player's identifiers are the same in all of them.
func TestNamesAndDigitsTellNothing(t *testing.T) {
	s := newSim(t, func(c *sim.Config) { leakConfig(c); c.Players, c.Activity, c.Duration = 4000, 50, 48*time.Hour })
	list := traits()
	type group struct{ honest, fraud []float64 }
	groups := make([]group, len(list))
	seen := map[string]bool{}
	for ev, ok := s.Next(); ok && s.Events() < 600_000; ev, ok = s.Next() {
		truth := s.Truth()
		if ev.GetType() != "bet.placed" || seen[truth.Player] {
			continue
		}
		seen[truth.Player] = true
		for i, tr := range list {
			if v := tr.value(ev); truth.Fraud {
				groups[i].fraud = append(groups[i].fraud, v)
			} else {
				groups[i].honest = append(groups[i].honest, v)
			}
		}
	}
	for i, tr := range list {
		n, m := float64(len(groups[i].honest)), float64(len(groups[i].fraud))
		if n < 400 || m < 80 {
			t.Fatalf("%s: only %v honest and %v fraudulent players", tr.name, n, m)
		}
		// Four deviations of the rank sum of two samples of the same distribution.
		bound := 4 * math.Sqrt((n+m+1)/(12*n*m))
		if auc := areaUnderCurve(groups[i].honest, groups[i].fraud); math.Abs(auc-0.5) > bound {
			t.Errorf("%s alone has AUC %.3f (%v players, %v frauds): beyond .5 +- %.3f", tr.name, auc, n, m, bound)
		}
	}
}

// learned is a model of what must tell nothing: for each trait the log-odds of fraud in each of its values (naive Bayes).
type learned struct {
	counts [][2]map[float64]float64
	total  [2]float64
}

func (l *learned) learn(values []float64, fraud int) {
	l.total[fraud]++
	for i, v := range values {
		l.counts[i][fraud][v]++
	}
}

func (l *learned) score(values []float64) float64 {
	sum := 0.0
	for i, v := range values {
		sum += math.Log((l.counts[i][1][v] + 1) / (l.total[1] + 16) * (l.total[0] + 16) / (l.counts[i][0][v] + 1))
	}
	return sum
}

// A model on event ids, transactions, low digits of times and row order alone, trained on one casino and asked about
// another, cannot tell frauds' events from honest ones.
func TestModelOfNamesLearnsNothing(t *testing.T) {
	var perEvent []trait
	for _, tr := range traits() {
		if name := tr.name; name[0] != 'p' || name == "producer_seq, last digit" {
			if name[:2] != "ac" && name[:2] != "se" && name[:2] != "de" { // a player's own are the same in all their events
				perEvent = append(perEvent, tr)
			}
		}
	}
	model := &learned{counts: make([][2]map[float64]float64, len(perEvent)+1)}
	for i := range model.counts {
		model.counts[i] = [2]map[float64]float64{{}, {}}
	}
	var scores [2][]float64
	for seed := range uint64(2) {
		s := newSim(t, func(c *sim.Config) { leakConfig(c); c.Seed = seed + 11 })
		for ev, ok := s.Next(); ok && s.Events() < 150_000; ev, ok = s.Next() {
			if ev.GetType() != "bet.placed" {
				continue
			}
			values := []float64{float64(s.Events() % 16)}
			for _, tr := range perEvent {
				v := tr.value(ev)
				if tr.name == "milliseconds in the second" {
					v = math.Floor(v / 50)
				}
				values = append(values, v)
			}
			fraud := 0
			if s.Truth().Fraud {
				fraud = 1
			}
			if seed == 0 {
				model.learn(values, fraud)
			} else {
				scores[fraud] = append(scores[fraud], model.score(values))
			}
		}
	}
	if len(scores[0]) < 5000 || len(scores[1]) < 5000 {
		t.Fatalf("only %d honest and %d fraudulent bets", len(scores[0]), len(scores[1]))
	}
	if auc := areaUnderCurve(scores[0], scores[1]); auc < 0.48 || auc > 0.52 {
		t.Errorf("names, digits and order alone have AUC %.4f over %d honest and %d fraudulent bets, want .48 to .52", auc, len(scores[0]), len(scores[1]))
	}
}

// areaUnderCurve is the chance that a fraud's value is above an honest one's, ties counting half.
func areaUnderCurve(honest, fraud []float64) float64 {
	slices.Sort(honest)
	sum := 0.0
	for _, v := range fraud {
		below, _ := slices.BinarySearch(honest, v)
		above, _ := slices.BinarySearch(honest, math.Nextafter(v, math.Inf(1)))
		sum += float64(below) + float64(above-below)/2
	}
	return sum / float64(len(honest)) / float64(len(fraud))
}
