package bench_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pitboss/bench"
	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

const now = 1_767_225_600 // 2026-01-01

func fixture(tb testing.TB) (*features.Kinds, *features.Set, *bench.Players) {
	tb.Helper()
	kinds, err := features.NewKinds(nil)
	if err != nil {
		tb.Fatal(err)
	}
	set, err := bench.CompileGaming64(kinds)
	if err != nil {
		tb.Fatal(err)
	}
	players, err := bench.NewPlayers(kinds, now)
	if err != nil {
		tb.Fatal(err)
	}
	return kinds, set, players
}

func TestGaming64(t *testing.T) {
	_, set, _ := fixture(t)
	if len(set.Features) != 64 {
		t.Errorf("the set has %d features", len(set.Features))
	}
	var kinds []string
	for _, g := range set.Groups {
		kinds = append(kinds, g.Kind)
	}
	slices.Sort(kinds)
	if kinds = slices.Compact(kinds); len(kinds) != 6 {
		t.Errorf("the set reads the kinds %v, want six", kinds)
	}
}

// TestEventsAreMessages compares the events that are made quickly with those that are decoded.
func TestEventsAreMessages(t *testing.T) {
	kinds, _, players := fixture(t)
	types := map[string]bool{}
	total := 0
	for _, number := range []int{0, 1, 7, bench.TenantPlayers + 3, 999_999} {
		var want []features.Event
		if err := players.Messages(number, func(msg *pb.Event) error {
			var ev features.Event
			if err := features.Decode(kinds, msg, &ev); err != nil {
				return err
			}
			ev.Msg = nil
			want = append(want, ev)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		i := 0
		if err := players.Events(number, func(ev *features.Event) error {
			types[ev.Type] = true
			if diff := cmp.Diff(want[i], *ev, cmpopts.IgnoreFields(features.Event{}, "Content", "Msg")); diff != "" {
				t.Fatalf("player %d, event %d (-decoded +made):\n%s", number, i, diff)
			}
			i++
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if i != len(want) || i == 0 {
			t.Errorf("player %d made %d events, decoded are %d", number, i, len(want))
		}
		total += i
	}
	if len(types) < 5 {
		t.Errorf("the players only did %v", types)
	}
	t.Logf("%d events", total)
}

// TestBuilderIsIngest compares built state with ingested; `pitboss bench --only state` does so for 10,000 players.
func TestBuilderIsIngest(t *testing.T) {
	_, set, players := fixture(t)
	n, err := players.CheckBuilder(context.Background(), set, 40)
	if err != nil {
		t.Fatal(err)
	}
	if n < 40*4 {
		t.Errorf("only %d entities were compared", n)
	}
}
