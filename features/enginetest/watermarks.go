package enginetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

// of makes an event of a producer, received at a second of its own.
func of(producer string, received float64) func(*pb.Event) {
	return func(m *pb.Event) {
		m.ProducerId, m.ReceivedAt = producer, timestamp(int64(start2026*1_000_000)+int64(received*1e6))
	}
}

// seconds gives watermarks as seconds after the beginning, by producer.
func (w *world) seconds() (overall float64, of map[string]float64, active []string) {
	w.t.Helper()
	second := func(at int64) float64 { return float64(at-start2026*1_000_000) / 1e6 }
	of = map[string]float64{}
	list, _ := w.e.Producers()
	for _, p := range list {
		of[p.Producer] = second(p.At)
		if p.Active {
			active = append(active, p.Producer)
		}
	}
	slices.Sort(active)
	return second(w.e.Watermark()), of, active
}

// testWatermarks has producers come, fall behind, go silent and come back. What it is does not fall, and is the same after
// a restart of either kind, with a checkpoint or without.
func testWatermarks(t *testing.T, subject Subject) {
	w := newWorld(t, subject, withConfig(func(c *features.EngineConfig) {
		c.WatermarkLag, c.ProducerActive, c.MaxProducers = time.Minute, 10*time.Minute, 3
	}))
	if at := w.e.Watermark(); at != 0 {
		t.Errorf("before the first event the watermark is %d", at)
	}
	n := 0
	send := func(producer string, occurred, received float64) {
		n++
		w.apply(w.bet(fmt.Sprint("e", n), "p", occurred, of(producer, received)))
	}
	f := func(overall float64, want map[string]float64, active ...string) {
		t.Helper()
		for i := range 3 {
			gotOverall, got, gotActive := w.seconds()
			if diff := cmp.Diff(want, got); diff != "" || gotOverall != overall || !slices.Equal(gotActive, active) {
				t.Errorf("restart %d: watermark %v of %v (active %v), want %v of %v (%v)", i, gotOverall, got, gotActive, overall, want, active)
			}
			w.restart(i == 0)
		}
	}
	send("a", 1000, 1000)
	f(940, map[string]float64{"a": 940}, "a")
	send("b", 990, 1001) // a new one is behind, and what was said stays said
	f(940, map[string]float64{"a": 940, "b": 930}, "a", "b")
	send("a", 1200, 1200)
	f(940, map[string]float64{"a": 1140, "b": 930}, "a", "b")
	send("b", 1100, 1201)
	f(1040, map[string]float64{"a": 1140, "b": 1040}, "a", "b")
	send("a", 1100, 1202) // a clock that steps back
	f(1040, map[string]float64{"a": 1140, "b": 1040}, "a", "b")
	send("a", 1802, 1802) // b is silent for too long
	f(1742, map[string]float64{"a": 1742, "b": 1040}, "a")
	send("b", 1500, 1803) // and comes back
	send("a", 1900, 1900)
	f(1742, map[string]float64{"a": 1840, "b": 1440}, "a", "b")
	send("b", 1890, 1901)
	f(1830, map[string]float64{"a": 1840, "b": 1830}, "a", "b")
	send("c", 1895, 1902)
	send("d", 1896, 1903) // one more than there may be: a was silent the longest
	if _, dropped := w.e.Producers(); dropped != 1 {
		t.Errorf("%d producers were dropped, want 1", dropped)
	}
	f(1830, map[string]float64{"b": 1830, "c": 1835, "d": 1836}, "b", "c", "d")
	if v := w.vector(w.bet("probe", "p", 1900)); v.Watermark != w.e.Watermark() {
		t.Errorf("the vector says %d, the engine %d", v.Watermark, w.e.Watermark())
	}
	// An event that is known, and a decision on it, change nothing.
	w.decideIfNew(w.bet("e1", "p", 1000, of("a", 1000)))
	f(1830, map[string]float64{"b": 1830, "c": 1835, "d": 1836}, "b", "c", "d")
}

// testClocks has one producer 5 s ahead and one whose clock steps back. Nobody's windows are empty, nothing counts twice,
// and nobody is read as late.
func testClocks(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	var events []*features.Event
	for n := range 120 {
		second := float64(n)
		events = append(events, w.bet(fmt.Sprint("a", n), "p", second, of("right", second)),
			w.bet(fmt.Sprint("b", n), "p", second+5, of("ahead", second)))
		if n >= 60 {
			second -= 50
		}
		events = append(events, w.bet(fmt.Sprint("c", n), "p", second, of("back", float64(n))))
	}
	for i, ev := range events {
		v := w.vector(ev)
		for at, f := range w.set.Features {
			if s := v.Status[at]; s == features.Late || s == features.WarmingUp {
				t.Fatalf("event %d: %s is %v", i, f.Name, s)
			}
		}
		if _, err := w.e.Ingest(context.Background(), items([]*features.Event{ev, w.resend(ev)})); err != nil {
			t.Fatal(err)
		}
	}
	// At 119 s: of the right one 60 to 119, of the one ahead 59 to 119 by its clock, of the other what came in as 59 and
	// 60 to 69 by its stepped clock.
	count := func(at float64, n int) {
		t.Helper()
		w.wantValue(w.vector(w.bet("probe", "q", at)), "ip_events_1m", float64(n))
	}
	brute := func(at int64) (n int) {
		for _, ev := range events {
			if second := ev.OccurredAt/1_000_000 - start2026; second >= at-60 && second <= at {
				n++
			}
		}
		return n + 1 // the probe
	}
	for _, at := range []int64{119, 124, 70} {
		count(float64(at), brute(at))
	}
	w.wantValue(w.vector(w.bet("probe", "p", 124)), "bets_30d", float64(len(events)+1))
}
