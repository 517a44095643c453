package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"time"

	"pitboss/bench"
	"pitboss/features"
	"pitboss/journal"
)

// storeBench measures the feature store in this process, over the fixture of package bench.
type storeBench struct {
	out, stderr io.Writer
	f           benchFlags
	kinds       *features.Kinds
	set         *features.Set
	players     *bench.Players
}

// benchTime is when the fixture's 30 days end: 2026-01-01.
const benchTime = 1_767_225_600

// vectorPlayers are those whose vectors are read from memory, and applyPlayers those whose events are applied.
const (
	vectorPlayers = 2000
	applyPlayers  = 20_000
)

func newStoreBench(out, stderr io.Writer, f benchFlags) (*storeBench, error) {
	b := &storeBench{out: out, stderr: stderr, f: f}
	var err error
	if b.kinds, err = features.NewKinds(nil); err != nil {
		return nil, err
	}
	if b.set, err = bench.CompileGaming64(b.kinds); err != nil {
		return nil, err
	}
	b.players, err = bench.NewPlayers(b.kinds, benchTime)
	return b, err
}

// inDir runs a measurement in a directory of its own.
func inDir(what string, run func(dir string) error) (err error) {
	dir, err := os.MkdirTemp("", "pitboss-bench-")
	if err != nil {
		return fmt.Errorf("cannot make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err = run(dir); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// vector reads vectors of 64 features of six entities, from memory and from Badger.
func (b *storeBench) vector(ctx context.Context) error {
	return inDir("vector", func(dir string) error {
		if _, err := b.players.BuildStore(ctx, dir, b.set, bench.Plan{Players: vectorPlayers, Workers: 1, Progress: func(int, int) {}}); err != nil {
			return err
		}
		for i := 0; i < b.f.runs && ctx.Err() == nil; i++ {
			if err := b.vectorRun(ctx, dir, fmt.Sprintf("run %d: from memory", i+1), vectorPlayers, func(*features.EngineConfig) {}); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

// vectorRun opens a store and reads vectors of players who are not in memory, then of some who are.
func (b *storeBench) vectorRun(ctx context.Context, dir, what string, players int, change func(*features.EngineConfig)) (err error) {
	s, err := bench.OpenStore(ctx, dir, b.kinds, b.set, change)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	few := min(vectorPlayers, b.f.vectors/5)
	cold, err := b.players.Vectors(ctx, s.Engine, b.set, players, few)
	if err != nil {
		return err
	}
	if _, err = b.players.Vectors(ctx, s.Engine, b.set, few, few); err != nil { // all of them once
		return err
	}
	warm, err := b.players.Vectors(ctx, s.Engine, b.set, few, b.f.vectors)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "vector %s: p50 %v p99 %v, %.0f allocations; of six entities from Badger: p50 %v p99 %v\n", what,
		warm.Took.Quantile(0.5), warm.Took.Quantile(0.99), warm.Allocations, cold.Took.Quantile(0.5), cold.Took.Quantile(0.99))
	return nil
}

// apply passes events of three entities into journal and windows, with checkpoints.
func (b *storeBench) apply(ctx context.Context) error {
	b.players.Named = 3
	defer func() { b.players.Named = 6 }()
	return b.rates(ctx, "apply", "events/s applied, three entities each, two callers, checkpoints on", func(dir string) (float64, error) {
		batches, err := b.players.Batches(applyPlayers, b.f.events)
		if err != nil {
			return 0, err
		}
		s, err := bench.OpenStore(ctx, dir, b.kinds, b.set, func(c *features.EngineConfig) { c.CheckpointFrames = 100_000 })
		if err != nil {
			return 0, err
		}
		s.Run()
		used := cpuTime()
		rate, err := bench.Apply(ctx, s.Engine, batches, 2)
		b.cpu("apply", used, b.f.events)
		fmt.Fprintf(b.stderr, "apply: %d checkpoints meanwhile, %d waits for one\n", s.Engine.Stats().Checkpoints, s.Engine.Stats().Throttled)
		return rate, errors.Join(err, s.Close())
	})
}

// recovery applies events, dies without a checkpoint, and times the next start.
func (b *storeBench) recovery(ctx context.Context) error {
	b.players.Named = 3
	defer func() { b.players.Named = 6 }()
	return b.rates(ctx, "recovery", "frames/s replayed at a start, three entities each", func(dir string) (rate float64, err error) {
		batches, err := b.players.Batches(applyPlayers, b.f.events)
		if err != nil {
			return 0, err
		}
		s, err := bench.OpenStore(ctx, dir, b.kinds, b.set, bench.NoCheckpoints)
		if err != nil {
			return 0, err
		}
		_, applied := bench.Apply(ctx, s.Engine, batches, 2)
		err = errors.Join(applied, s.Kill())
		if err != nil {
			return 0, err
		}
		runtime.GC()
		began, used := time.Now(), cpuTime()
		if s, err = bench.OpenStore(ctx, dir, b.kinds, b.set, bench.NoCheckpoints); err != nil {
			return 0, err
		}
		took := time.Since(began)
		b.cpu("recovery", used, b.f.events)
		replayed := s.Engine.Stats().Replayed
		return float64(replayed) / took.Seconds(), s.Kill()
	})
}

// journalSegment is small enough for the newest segment, which is not compressed yet, to be a small part of a run.
const journalSegment = 4 << 20

// journal applies events of six entities and shows what they take on disk once all finished segments are compressed.
func (b *storeBench) journal(ctx context.Context) error {
	for i := 0; i < b.f.runs && ctx.Err() == nil; i++ {
		err := inDir("journal", func(dir string) (err error) {
			batches, err := b.players.Batches(applyPlayers, b.f.events)
			if err != nil {
				return err
			}
			s, err := bench.OpenStore(ctx, dir, b.kinds, b.set, bench.NoCheckpoints, func(c *journal.Config) { c.SegmentBytes = journalSegment })
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Kill()) }()
			if _, err := bench.Apply(ctx, s.Engine, batches, 2); err != nil {
				return err
			}
			st := s.Journal.Stats()
			for ; int(st.Compacted) < st.Segments-1 && st.CompactErrors == 0; st = s.Journal.Stats() {
				if !sleepUntil(ctx, time.Now().Add(50*time.Millisecond)) {
					return ctx.Err()
				}
			}
			fmt.Fprintf(b.out, "journal run %d: %d bytes an event on disk, %d of %d segments compressed, to %.0f %%; %d bytes an event as appended\n", i+1,
				st.SegmentBytes/int64(b.f.events), st.Compacted, st.Segments, 100*float64(st.CompactedOut)/max(1, float64(st.CompactedIn)), st.Bytes/uint64(b.f.events))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// cpu shows what an event cost in processor time: on a machine that others use too, that is the steadier figure.
func (b *storeBench) cpu(name string, before time.Duration, events int) {
	fmt.Fprintf(b.stderr, "%s: %.1f us of processor time an event\n", name, float64((cpuTime()-before).Nanoseconds())/1000/float64(events))
}

// rates runs a measurement of a rate and shows all runs, the median and the worst.
func (b *storeBench) rates(ctx context.Context, name, what string, run func(dir string) (float64, error)) error {
	var rates []float64
	for i := 0; i < b.f.runs && ctx.Err() == nil; i++ {
		err := inDir(name, func(dir string) error {
			rate, err := run(dir)
			rates = append(rates, rate)
			return err
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(b.out, "%s run %d: %.0f %s\n", name, i+1, rates[i], what)
	}
	if len(rates) == 0 {
		return ctx.Err()
	}
	slices.Sort(rates)
	fmt.Fprintf(b.out, "%s median %.0f/s, worst %.0f/s\n", name, rates[(len(rates)-1)/2], rates[0])
	return nil
}
