package enginetest

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pitboss/features"
)

// counted is a feature as the reference computes it: from all events, by the contract of its window.
type counted struct {
	feature string
	kind    string
	types   []string
	// attempted counts what was taken back.
	attempted bool
	length    int64 // of the window and hop, in seconds
	hop       int64
	exclude   bool
	value     func(events []*features.Event, at int64) float64
	// other is the kind of the entity whose slots are compared with, empty for none; there is no value then.
	other string
}

func numberOf(events []*features.Event, _ int64) float64 { return float64(len(events)) }

func stakes(events []*features.Event, _ int64) float64 {
	sum := int64(0)
	for _, ev := range events {
		if f, ok := ev.Field("amount_base"); ok {
			sum += f.Int
		}
	}
	return float64(sum)
}

func games(events []*features.Event, _ int64) float64 {
	seen := map[features.EntityKey]bool{}
	for _, ev := range events {
		if ref, ok := ev.Entity("game"); ok {
			seen[ref.Key] = true
		}
	}
	return float64(len(seen))
}

func sinceLast(events []*features.Event, at int64) float64 {
	last := int64(math.MinInt64)
	for _, ev := range events {
		last = max(last, ev.OccurredAt)
	}
	if last == math.MinInt64 {
		return math.NaN()
	}
	return float64(max(0, at-last)) / 1e6
}

// activeHours counts the hours of the UTC day that has most of them.
func activeHours(events []*features.Event, _ int64) float64 {
	seen, perDay, most := map[int64]bool{}, map[int64]int{}, 0
	for _, ev := range events {
		if hour := ev.OccurredAt / 3_600_000_000; !seen[hour] {
			seen[hour] = true
			perDay[hour/24]++
			most = max(most, perDay[hour/24])
		}
	}
	return float64(most)
}

// leastRest looks at each 24 hours of a week's window: the longest pause that they touch, and of these the shortest.
func leastRest(events []*features.Event, at int64) float64 {
	if len(events) == 0 {
		return math.NaN()
	}
	first, now := (at/1_000_000-604_800)/14_400*14_400/3600, at/3_600_000_000
	active := map[int64]bool{now: true}
	for _, ev := range events {
		active[ev.OccurredAt/3_600_000_000] = true
	}
	pause := make([]int, now+1-first) // how long a pause each hour is part of
	for from := first; from < now; from++ {
		to := from
		for !active[to] {
			to++
		}
		for hour := from; hour < to; hour++ {
			pause[hour-first] = int(to - from)
		}
		from = to
	}
	least := 24
	for day := 0; day+24 <= len(pause); day++ {
		least = min(least, slices.Max(pause[day:day+24]))
	}
	return float64(least * 3600)
}

func countedFeatures() []counted {
	const ever = 1 << 40
	bet := []string{"bet.placed"}
	return []counted{
		{"bets_1m", "player", bet, false, 60, 1, false, numberOf, ""},
		{"bets_5m", "player", bet, false, 300, 5, true, numberOf, ""},
		{"bets_30d", "player", bet, false, 2_592_000, 43_200, false, numberOf, ""},
		{"stake_1h", "player", bet, false, 3600, 60, false, stakes, ""},
		{"stake_24h", "player", bet, false, 86_400, 1800, false, stakes, ""},
		{"stake_7d_before", "player", bet, false, 604_800, 14_400, true, stakes, ""},
		{"attempts_24h", "player", bet, true, 86_400, 1800, false, numberOf, ""},
		{"attempted_30d", "player", bet, true, 2_592_000, 43_200, true, stakes, ""},
		{"attempted_games_7d", "player", bet, true, 604_800, 14_400, false, games, ""},
		{"since_attempt", "player", bet, true, ever, 1, true, sinceLast, ""},
		{"back_7d", "player", []string{"bet.rolled_back", "payment.withdrawal_cancelled"}, false, 604_800, 14_400, false, numberOf, ""},
		{"payouts_30d", "player", []string{"payment.withdrawal_requested"}, false, 2_592_000, 43_200, true, stakes, ""},
		{"games_24h", "player", bet, false, 86_400, 1800, false, games, ""},
		{"since_bet", "player", bet, false, ever, 1, true, sinceLast, ""},
		{"active_7d", "player", bet, false, 604_800, 14_400, false, activeHours, ""},
		{"active_30d_before", "player", bet, false, 2_592_000, 43_200, true, activeHours, ""},
		{"rest_7d", "player", bet, true, 604_800, 14_400, true, leastRest, ""},
		{feature: "same_slot_1h", kind: "player", types: bet, length: 3600, hop: 60, other: "ip"},
		{feature: "same_slot_24h_before", kind: "player", types: bet, length: 86_400, hop: 1800, exclude: true, other: "game"},
		{"ip_stake_30d", "ip", bet, false, 2_592_000, 43_200, false, stakes, ""},
		{"brand_5m", "brand", bet, false, 300, 5, false, numberOf, ""},
	}
}

// voids says of each event why it does not count, by what a reader of event.proto would say.
func voids(events []*features.Event, blocked map[string]bool) (back, replaced map[string]bool) {
	back, replaced = map[string]bool{}, map[string]bool{}
	known := func(original, correction *features.Event) bool {
		return correction.ReceivedAt/3_600_000_000 <= original.OccurredAt/3_600_000_000+features.SeenForHours
	}
	for _, ev := range events {
		if blocked[ev.ID] && (ev.Type == "bet.placed" || ev.Type == "payment.withdrawal_requested") {
			back[ev.ID] = true
		}
		for _, original := range events {
			if !known(original, ev) {
				continue
			}
			if ev.Msg.GetSupersedesEventId() == original.ID {
				replaced[original.ID] = true
			}
			takes := map[string]string{"bet.rolled_back": "bet.placed", "payment.withdrawal_cancelled": "payment.withdrawal_requested"}[ev.Type]
			if takes != "" && original.Type == takes && ev.Msg.GetReferenceTransactionId() == original.Msg.GetTransactionId() {
				back[original.ID] = true
			}
		}
	}
	return back, replaced
}

// of computes a feature for a probe.
func (f *counted) of(events []*features.Event, back, replaced map[string]bool, probe *features.Event) float64 {
	in := f.in(f.kind, events, back, replaced, probe)
	if f.other == "" {
		return f.value(in, probe.OccurredAt)
	}
	if _, ok := probe.Entity(f.other); !ok || len(in) == 0 {
		return math.NaN()
	}
	others, beside := f.in(f.other, events, back, replaced, probe), 0
	for _, ev := range in {
		elsewhere := func(o *features.Event) bool { return o.OccurredAt/1_000_000/f.hop != ev.OccurredAt/1_000_000/f.hop }
		if len(slices.DeleteFunc(slices.Clone(others), elsewhere)) > len(slices.DeleteFunc(slices.Clone(in), elsewhere)) {
			beside++
		}
	}
	return float64(beside) / float64(len(in))
}

// in gives the events of the probe's entity of a kind that count.
func (f *counted) in(kind string, events []*features.Event, back, replaced map[string]bool, probe *features.Event) (in []*features.Event) {
	entity, _ := probe.Entity(kind)
	second := probe.OccurredAt / 1_000_000
	from := (second - f.length) / f.hop * f.hop
	for _, ev := range append(slices.Clone(events), probe) {
		ref, ok := ev.Entity(kind)
		void := replaced[ev.ID] || back[ev.ID] && !f.attempted
		at := ev.OccurredAt / 1_000_000
		if ok && ref.Key == entity.Key && slices.Contains(f.types, ev.Type) && !void && at >= from && at <= second && (!f.exclude || ev != probe) {
			in = append(in, ev)
		}
	}
	return in
}

// testReference applies random events with corrections before and after them, late ones and ties, in any order and manner,
// and compares what is read with what a reader of the contract would count. Only what says that a correction was missed,
// that it is late or capped may differ: counts and sums never say the first.
func testReference(t *testing.T, subject Subject) {
	exact, flagged := 0, 0
	eachRound(t, subject, 4, func(t *testing.T, round int) {
		w := newWorld(t, subject, withConfig(func(c *features.EngineConfig) { c.MaxEntities = 64 }))
		c := newCasino(seed(t, round) + 100)
		events := c.correctable(w.events(c, 250))
		probes := w.probes(c, events, 60)
		w.block(c, events)
		w.applyAnyhow(c, events)
		for _, ev := range events {
			if w.blocked[ev.ID] {
				w.decideIfNew(ev)
			}
		}
		back, replaced := voids(events, w.blocked)
		for _, probe := range probes {
			e, f := w.wantReference(fmt.Sprintf("round %d: %s", round, probe.ID), probe, events, back, replaced)
			exact, flagged = exact+e, flagged+f
		}
		w.wantSomeVoid(back, replaced)
	})
	// One round may have no correction that is missed; several have.
	if n := rounds(t, subject, 4); exact < 100*n || n > 1 && flagged == 0 {
		t.Errorf("%d values were compared and %d said that they may be wrong", exact, flagged)
	}
	t.Logf("%d values are those of the reference, %d said that a correction was missed", exact, flagged)
}

// wantReference compares one vector, and says how many values were compared and how many said that they may be wrong.
func (w *world) wantReference(what string, probe *features.Event, events []*features.Event, back, replaced map[string]bool) (exact, flagged int) {
	w.t.Helper()
	v := w.vector(probe)
	for _, f := range countedFeatures() {
		i := slices.IndexFunc(w.set.Features, func(info features.FeatureInfo) bool { return info.Name == f.feature })
		if _, ok := probe.Entity(f.kind); !ok {
			continue
		}
		switch s := v.Status[i]; {
		case s == features.Late || s == features.Capped:
			continue
		case s == features.CorrectionMissed && w.set.Features[i].Class == "semilattice":
			flagged++
			continue
		case s != features.Present && s != features.Missing:
			w.t.Errorf("%s: %s is %v", what, f.feature, s)
		}
		exact++
		want := f.of(events, back, replaced, probe)
		if got := v.Values[i]; math.Float64bits(got) != math.Float64bits(want) && !(math.IsNaN(got) && math.IsNaN(want)) {
			w.t.Errorf("%s: %s is %v, want %v", what, f.feature, got, want)
		}
	}
	return exact, flagged
}

func (w *world) wantSomeVoid(back, replaced map[string]bool) {
	w.t.Helper()
	if len(back) < 5 || len(replaced) < 1 {
		w.t.Errorf("%d events were taken back and %d replaced: too few to tell", len(back), len(replaced))
	}
}
