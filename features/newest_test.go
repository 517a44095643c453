package features_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

const newestSet = `
format: 1
name: newest
version: "1"
groups:
  bets: {entity: player, match: {type: bet.placed}}
features:
  - {name: last, group: bets, aggregate: last_value, value: amount_base, scale: 2, window: 1h}
  - {name: third, group: bets, aggregate: last_value, value: amount_base, window: 1h, nth: 3}
  - {name: before, group: bets, aggregate: last_value, value: amount_base, window: 1h, current: exclude}
  - {name: mean, group: bets, aggregate: gap_mean, window: 1h, last: 4}
  - {name: mean_before, group: bets, aggregate: gap_mean, window: 1h, last: 4, current: exclude}
  - {name: cv, group: bets, aggregate: gap_cv, window: 1h, last: 4}
  - {name: mad, group: bets, aggregate: gap_mad, window: 1h, last: 4}
  - {name: entropy, group: bets, aggregate: gap_entropy, window: 1h, last: 4}
  - {name: lag, group: bets, aggregate: gap_autocorrelation, window: 1h, last: 6}
  - {name: fast, group: bets, aggregate: gap_share_under, window: 1h, last: 6, floor: 4s}
  - {name: beat, group: bets, aggregate: metronome, window: 1h, last: 20, periods: {from: 3s, to: 3s, steps: 1}}
  - {name: modes, group: bets, aggregate: ngram_count, value: input_mode, window: 1h, last: 6, ngram: [manual, bought, manual]}
  - {name: ones, group: bets, aggregate: ngram_count, value: attr_n, window: 1h, last: 6, ngram: [1, 1]}
`

// TestNewest reads what is made of a window's newest events, on the fly and inside.
func TestNewest(t *testing.T) {
	e, set, opt := engineOf(t, newestSet)
	n := 0
	bet := func(millis, amount int64, mode string) *features.Event {
		n++
		ts := &timestamppb.Timestamp{Seconds: 1_767_225_600 + millis/1000, Nanos: int32(millis % 1000 * 1_000_000)}
		m := &pb.Event{
			EventId: fmt.Sprint("bet", n), Tenant: "t", OccurredAt: ts, ReceivedAt: ts, Type: "bet.placed",
			Entities: []*pb.Identifier{{Kind: "player", Value: "p", Form: pb.Form_FORM_ALIAS}},
			Payload: &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{
				Amount: &pb.Money{AmountMinor: amount, Currency: "EUR", BaseMinor: &amount}, InputMode: mode,
			}},
			Attributes: map[string]*pb.Value{"n": {Kind: &pb.Value_Number{Number: 1}}},
		}
		return decoded(t, opt.Kinds, m)
	}
	check := func(v *features.Vector, want string) {
		t.Helper()
		var got []string
		for i, f := range set.Features {
			text := fmt.Sprintf("%s %.3g", f.Name, v.Values[i])
			if math.IsNaN(v.Values[i]) {
				text = f.Name + " none"
			}
			if v.Status[i] != features.Present && v.Status[i] != features.Missing {
				text += " " + v.Status[i].String()
			}
			got = append(got, text)
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("got  %s\nwant %s", text, want)
		}
	}
	f := func(ev *features.Event, want string) {
		t.Helper()
		check(vectorOf(t, e, set, ev), want)
		commit(t, e, ev)
		check(vectorOf(t, e, set, ev), want)
	}
	f(bet(0, 7, "manual"), "last 7, third none, before none, mean none, mean_before none, cv none, mad none, entropy none, lag none, "+
		"fast none, beat none, modes 0, ones 0")
	f(bet(3000, 8, "bought"), "last 8, third none, before 7, mean 3, mean_before none, cv none, mad none, entropy none, lag none, "+
		"fast 1, beat none, modes 0, ones 1")
	f(bet(9000, 9, "manual"), "last 9, third 7, before 8, mean 4.5, mean_before 3, cv 0.333, mad 0.333, entropy 1, lag none, "+
		"fast 0.5, beat none, modes 1, ones 2")
	f(bet(12000, 10, "bought"), "last 10, third 8, before 9, mean 4, mean_before 4.5, cv 0.354, mad 0, entropy 0.918, lag none, "+
		"fast 0.667, beat none, modes 1, ones 3")
	f(bet(18000, 11, "manual"), "last 11, third 9, before 10, mean 5 capped, mean_before 4, cv 0.283 capped, mad 0 capped, "+
		"entropy 0.918 capped, lag -1, fast 0.5, beat none, modes 2, ones 4")
	f(bet(24000, 12, "manual"), "last 12, third 10, before 11, mean 5 capped, mean_before 5 capped, cv 0.283 capped, mad 0 capped, "+
		"entropy 0.918 capped, lag -0.577, fast 0.4, beat 1, modes 2, ones 5")
	// The window is over, and an event without a value breaks what follows what.
	last := bet(7_200_000, 1, "")
	last.Msg.Attributes = nil
	f(last, "last 1, third none, before none, mean none, mean_before none, cv none, mad none, entropy none, lag none, fast none, "+
		"beat none, modes 0, ones 0")

	info := set.Features[3]
	if want := "1h: the newest 4 events of (t-1h, t], capped with more"; info.Contract != want || info.Exact != 0 || info.Class != "semilattice" {
		t.Errorf("%+v, want the contract %q", info, want)
	}
}

// TestNewestHash changes what is in a set's hash.
func TestNewestHash(t *testing.T) {
	hash := mustCompile(t, newestSet).Hash
	for _, change := range [][2]string{
		{"nth: 3", "nth: 4"}, {"last: 20", "last: 19"}, {"floor: 4s", "floor: 5s"}, {"to: 3s, steps: 1", "to: 4s, steps: 1"},
		{"steps: 1", "steps: 2"}, {"[1, 1]", "[1, 2]"}, {"[manual, bought, manual]", "[manual, bought]"}, {"scale: 2", "scale: 3"},
	} {
		if mustCompile(t, strings.Replace(newestSet, change[0], change[1], 1)).Hash == hash {
			t.Errorf("with %s for %s the hash is the same", change[1], change[0])
		}
	}
}
