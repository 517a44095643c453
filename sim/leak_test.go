package sim_test

import (
	"fmt"
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
// which that usually happens: fields that only one side fills, and identifiers, order and low digits that differ. A test in
// train/test_leak.py asks gradient-boosted trees the same.

// fieldPath is a field of a message that is a field of another, down from the event's type; kind is an identifier's.
type fieldPath struct {
	parent int
	field  protoreflect.FieldDescriptor
	kind   string
}

// fieldCounter counts for each path how many honest and how many fraudulent players ever filled it.
type fieldCounter struct {
	ids     map[fieldPath]int
	names   []string
	parents []int
	players map[string]int
	seen    map[[2]int]bool
	count   [2][]int
}

func (c *fieldCounter) id(p fieldPath) int {
	id, ok := c.ids[p]
	if !ok {
		name := ""
		id = len(c.names)
		c.ids[p] = id
		if p.field != nil {
			name = c.names[p.parent] + "." + string(p.field.Name())
		}
		c.names, c.parents = append(c.names, name+p.kind), append(c.parents, p.parent)
		c.count[0], c.count[1] = append(c.count[0], 0), append(c.count[1], 0)
	}
	return id
}

// see counts a path for a player, once.
func (c *fieldCounter) see(path, player, fraud int) {
	if key := [2]int{path, player}; !c.seen[key] {
		c.seen[key] = true
		c.count[fraud][path]++
	}
}

// filled counts every path of a message that is set.
func (c *fieldCounter) filled(m protoreflect.Message, parent, player, fraud int) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsList():
			for i := range v.List().Len() {
				one := v.List().Get(i).Message()
				kind := one.Get(one.Descriptor().Fields().ByName("kind")).String()
				c.see(c.id(fieldPath{parent, fd, "[" + kind + "]"}), player, fraud)
			}
			return true
		case fd.Message() != nil:
			c.filled(v.Message(), c.id(fieldPath{parent: parent, field: fd}), player, fraud)
		}
		c.see(c.id(fieldPath{parent: parent, field: fd}), player, fraud)
		return true
	})
}

// A field is one side's own when the other never fills it, though by the share of those who do among the players who told
// that type of event, ten of the other side should have.
func TestNobodyFillsFieldsOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := newSim(t, func(c *sim.Config) {
		c.Players, c.Activity, c.Duration = 500, 5, 6*24*time.Hour
		for t := range c.Mix.Frauds {
			c.Mix.Frauds[t] = sim.Fraud{Share: 0.01} // mimicry 0: what is crude leaks most
		}
		c.Mix.Frauds[sim.MetronomeBot].Share = 0.002 // one bot tells as much as a hundred players
		c.Labels.Reviewed, c.Labels.Delay, c.Mix.Hunters = 0.2, 12*time.Hour, 0.1
	})
	c := &fieldCounter{ids: map[fieldPath]int{}, players: map[string]int{}, seen: map[[2]int]bool{}}
	told := map[[2]int]int{}
	for ev, ok := s.Next(); ok && s.Events() < 600_000; ev, ok = s.Next() {
		if entityOf(ev, "player") == "" {
			continue // a meter, a board, a table: nobody's
		}
		truth, fraud := s.Truth(), 0
		if truth.Fraud {
			fraud = 1
		}
		if _, known := c.players[truth.Player]; !known {
			c.players[truth.Player] = len(c.players)
		}
		player, top := 2*c.players[truth.Player]+fraud, c.id(fieldPath{parent: -1, kind: ev.GetType()})
		// Of what is frequent, some is enough: reading fields by reflection costs more than making them.
		key := [2]int{player, top}
		if told[key]++; told[key] <= 3 || told[key]%16 == 0 {
			c.see(top, player, fraud)
			c.filled(ev.ProtoReflect(), top, player, fraud)
		}
	}
	for path, name := range c.names {
		top := path
		for c.parents[top] >= 0 {
			top = c.parents[top]
		}
		for side, who := range []string{"honest players", "frauds"} {
			own, others := c.count[side], c.count[1-side]
			expected := float64(own[path]) / float64(own[top]) * float64(others[top])
			if others[path] == 0 && (expected > 10 || others[top] == 0 && own[path] > 10) {
				t.Errorf("%s is filled by %s alone, %d of them; %d of the others told this type of event", name, who, own[path], others[top])
			}
		}
	}
	if len(c.names) < 300 {
		t.Errorf("only %d fields were seen", len(c.names))
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
		trait{"twentieths of a second", func(ev *pb.Event) float64 { return float64(micros(ev) / 50_000 % 20) }},
		trait{"producer_seq, last digit", func(ev *pb.Event) float64 { return float64(ev.GetProducerSeq() % 10) }},
	)
}

// beginners is a casino in which everybody begins within minutes, half of them frauds that play at once: thousands of
// players, whose identifiers and digits are one observation each, at the price of a few bets.
func beginners(c *sim.Config) {
	c.Players, c.Duration, c.NewShare = 14_000, 5*time.Minute, 1
	for t := range c.Mix.Frauds {
		c.Mix.Frauds[t].Share = 0.02
	}
	for _, t := range []sim.Typology{sim.MetronomeBot, sim.TamperClient, sim.Backdoor, sim.TournamentBooster, sim.JackpotTamper} {
		c.Mix.Frauds[t].Share = 0.065
	}
}

// observe gives the traits of each player's first bet, honest and fraudulent.
func observe(t *testing.T, list []trait, seed uint64) (rows [2][][]float64) {
	t.Helper()
	s := newSim(t, func(c *sim.Config) { beginners(c); c.Seed = seed })
	seen := map[string]bool{}
	for ev, ok := s.Next(); ok; ev, ok = s.Next() {
		truth := s.Truth()
		if ev.GetType() != "bet.placed" || seen[truth.Player] {
			continue
		}
		seen[truth.Player] = true
		row := []float64{float64(s.Events() % 16)}
		for _, tr := range list {
			row = append(row, tr.value(ev))
		}
		fraud := 0
		if truth.Fraud {
			fraud = 1
		}
		rows[fraud] = append(rows[fraud], row)
	}
	return rows
}

// learned is a model of what must tell nothing: for each trait the log-odds of fraud in each of its values (naive Bayes).
type learned struct {
	counts [][2]map[float64]float64
	total  [2]float64
}

func learn(rows [2][][]float64) *learned {
	l := &learned{counts: make([][2]map[float64]float64, len(rows[0][0]))}
	for i := range l.counts {
		l.counts[i] = [2]map[float64]float64{{}, {}}
	}
	for fraud := range rows {
		for _, row := range rows[fraud] {
			l.total[fraud]++
			for i, v := range row {
				l.counts[i][fraud][v]++
			}
		}
	}
	return l
}

func (l *learned) scores(rows [][]float64) []float64 {
	var out []float64
	for _, row := range rows {
		sum := 0.0
		for i, v := range row {
			sum += math.Log((l.counts[i][1][v] + 1) / (l.total[1] + 16) * (l.total[0] + 16) / (l.counts[i][0][v] + 1))
		}
		out = append(out, sum)
	}
	return out
}

// Identifiers, event ids, transactions, row order and low digits of times have an AUC of .48 to .52, each alone and all
// together in a model that is trained on one casino and asked about another. One observation for each player: a player's
// identifiers are the same in all their events.
func TestNamesAndDigitsTellNothing(t *testing.T) {
	t.Parallel()
	list := traits()
	train, test := observe(t, list, 11), observe(t, list, 12)
	n, m := float64(len(test[0])), float64(len(test[1]))
	if off := math.Sqrt((1/n + 1/m) / 12); off > 0.007 {
		t.Fatalf("%v honest and %v fraudulent players: an AUC may be off by %.4f by chance, too much for .48 to .52", n, m, off)
	}
	f := func(name string, honest, fraud []float64) {
		t.Helper()
		if auc := areaUnderCurve(honest, fraud); auc < 0.48 || auc > 0.52 {
			t.Errorf("%s: AUC %.4f over %d honest and %d fraudulent players, want .48 to .52", name, auc, len(honest), len(fraud))
		}
	}
	column := func(rows [][]float64, i int) (out []float64) {
		for _, row := range rows {
			out = append(out, row[i])
		}
		return out
	}
	for i := range test[0][0] {
		name := "row order"
		if i > 0 {
			name = list[i-1].name
		}
		f(name, append(column(train[0], i), column(test[0], i)...), append(column(train[1], i), column(test[1], i)...))
	}
	model := learn(train)
	f("all together", model.scores(test[0]), model.scores(test[1]))
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
