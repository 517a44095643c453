package bench_test

import (
	"context"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"pitboss/bench"
	"pitboss/features"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const benchEvents = 50_000

// BenchmarkApply applies events of three entities in batches of 500, by two callers, with checkpoints, on files and
// Badger. Making the events is not counted.
func BenchmarkApply(b *testing.B) {
	kinds, set, players := fixture(b)
	players.Named = 3
	batches, err := players.Batches(5000, benchEvents)
	if err != nil {
		b.Fatal(err)
	}
	rate := 0.0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		s, err := bench.OpenStore(context.Background(), b.TempDir(), kinds, set, func(c *features.EngineConfig) { c.CheckpointFrames = 20_000 })
		if err != nil {
			b.Fatal(err)
		}
		s.Run()
		b.StartTimer()
		if rate, err = bench.Apply(context.Background(), s.Engine, batches, 2); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(rate, "events/s")
}

// BenchmarkRecovery opens a store whose events no checkpoint has seen.
func BenchmarkRecovery(b *testing.B) {
	kinds, set, players := fixture(b)
	players.Named = 3
	batches, err := players.Batches(5000, benchEvents)
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	open := func() *bench.Store {
		s, err := bench.OpenStore(context.Background(), dir, kinds, set, bench.NoCheckpoints)
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	s := open()
	if _, err := bench.Apply(context.Background(), s.Engine, batches, 2); err != nil {
		b.Fatal(err)
	}
	if err := s.Kill(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s := open()
		b.StopTimer()
		if err := s.Kill(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(benchEvents*b.N)/b.Elapsed().Seconds(), "frames/s")
}

// BenchmarkVectors reads vectors of gaming64 from memory, each of another player.
func BenchmarkVectors(b *testing.B) {
	kinds, set, players := fixture(b)
	dir := b.TempDir()
	if _, err := players.BuildStore(context.Background(), dir, set, bench.Plan{Players: 300, Workers: 1, Progress: func(int, int) {}}); err != nil {
		b.Fatal(err)
	}
	s, err := bench.OpenStore(context.Background(), dir, kinds, set, nil)
	if err != nil {
		b.Fatal(err)
	}
	slots := make([]*features.Slot, 300)
	defer func() {
		for _, slot := range slots {
			slot.Release()
		}
		if failed := s.Close(); failed != nil {
			b.Error(failed)
		}
	}()
	for i := range slots {
		ev := &features.Event{}
		if err = features.Decode(kinds, players.Bet(i, fmt.Sprint("probe", i)), ev); err != nil {
			b.Fatal(err)
		}
		if slots[i], err = s.Engine.Admit(context.Background(), ev); err != nil {
			b.Fatal(err)
		}
	}
	var v features.Vector
	for i := range slots {
		if err := s.Engine.Vector(context.Background(), slots[i], set, &v); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := s.Engine.Vector(context.Background(), slots[i%len(slots)], set, &v); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
