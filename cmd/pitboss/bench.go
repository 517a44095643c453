package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kfake"

	pb "pitboss/proto/pitboss/v1"
	"pitboss/sim"
)

// benchFlags are what `pitboss bench` can be told.
type benchFlags struct {
	rate     float64
	duration time.Duration
	warmUp   time.Duration
	runs     int
	players  int
	events   int
	// vectors is how many are read from memory in a run.
	vectors int
	only    string
	// statePlayers is how many players the state bench builds, distinct how many of them are no copies.
	statePlayers, distinct int
}

func newBenchCmd() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure decisions and ingest on this machine",
		Long: `Starts a server of its own as another process, with the demo's bundle (200 trees of 31 leaves, exact contributions) and
a simulated casino, and measures over loopback:

  decide   a constant rate of Decide calls over gRPC, each sent at its own time whatever became of the ones before (open
           loop), latency from the time that a call was due: no coordinated omission. The generator's p99 is the part of it
           that passed before the call began
  ingest   events from an in-process Kafka broker into journal and windows, as fast as they go

Only when asked for, in this process, over the feature set bench/gaming64.yaml (64 features of six entities) and simulated
players:

  vector   vectors from memory and from Badger
  apply    events of three entities into journal files and windows, with checkpoints
  recovery a start after a death: frames a second that are read again
  journal  what an event takes on disk, compressed and sealed
  state    a million players of about 100 events each: bytes on disk, start to ready, memory bound

Server and load generator share the machine. Shown are all runs, their median and the worst.`,
		Example: "  pitboss bench --runs 5 --duration 60s --rate 500\n  pitboss bench --only decide --rate 1000 --duration 20s\n" +
			"  pitboss bench --only state --state-players 100000 --runs 1",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runBench(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), f)
		},
	}
	fl := cmd.Flags()
	fl.Float64Var(&f.rate, "rate", 500, "Decide calls a second")
	fl.DurationVar(&f.duration, "duration", time.Minute, "length of a run")
	fl.DurationVar(&f.warmUp, "warm-up", 5*time.Second, "load before the first run that is not counted")
	fl.IntVar(&f.runs, "runs", 5, "how many runs")
	fl.IntVar(&f.players, "players", 5000, "accounts of the simulated casino")
	fl.IntVar(&f.events, "events", 200_000, "events of an ingest, apply, recovery or journal run")
	fl.IntVar(&f.vectors, "vectors", 10_000, "vectors of a run from memory; a fifth as many are read from Badger, and 20 times as many under a bound on memory")
	fl.IntVar(&f.statePlayers, "state-players", 1_000_000, "players of the state bench")
	fl.IntVar(&f.distinct, "state-distinct", 50_000, "players of the state bench with events of their own; the others are copies of them")
	fl.StringVar(&f.only, "only", "", "decide, ingest, vector, apply, recovery, journal or state; default: decide and ingest")
	return cmd
}

func runBench(ctx context.Context, out, stderr io.Writer, f benchFlags) error {
	if err := oneOf("--only", f.only, "", "decide", "ingest", "vector", "apply", "recovery", "journal", "state"); err != nil {
		return &codedError{exitUsage, err}
	}
	if f.rate <= 0 || f.rate > 100_000 || f.runs < 1 || f.duration < time.Second || f.duration > time.Hour || f.events < 1000 || f.vectors < 100 || f.statePlayers < 1 || f.distinct < 1 {
		return &codedError{exitUsage, errors.New("--rate from 1 to 100000, --runs, --state-players and --state-distinct from 1, --duration from 1s to 1h, --events from 1000, --vectors from 100")}
	}
	if run := f.storeBench(); run != nil {
		fmt.Fprintf(out, "%s, %d cores; simulated players\n\n", buildString(), runtime.NumCPU())
		b, err := newStoreBench(out, stderr, f)
		if err != nil {
			return err
		}
		return run(b, ctx)
	}
	fmt.Fprintf(out, "%s, %d cores shared by server and load generator; simulated casino of %d players\n\n", buildString(), runtime.NumCPU(), f.players)
	if f.only != "ingest" {
		if err := benchDecide(ctx, out, f); err != nil {
			return err
		}
	}
	if f.only != "decide" {
		return benchIngest(ctx, out, f)
	}
	return nil
}

// storeBench gives the measurement of the feature store that was asked for, nil for none.
func (f *benchFlags) storeBench() func(*storeBench, context.Context) error {
	return map[string]func(*storeBench, context.Context) error{
		"vector": (*storeBench).vector, "apply": (*storeBench).apply, "recovery": (*storeBench).recovery,
		"journal": (*storeBench).journal, "state": (*storeBench).state,
	}[f.only]
}

// benchCheckpoint is the longest time until everything is in a checkpoint.
const benchCheckpoint = 31 * time.Second

func benchCasino(players int, seed uint64) sim.Config {
	cfg := sim.DefaultConfig()
	cfg.Seed, cfg.Players, cfg.Activity, cfg.Tenant = seed, players, 4, demoTenant
	return cfg
}

func benchDecide(ctx context.Context, out io.Writer, f benchFlags) (err error) {
	s, err := startServer(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	conn, err := dial(s.grpc, s.key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeConn(conn)) }()
	events, err := newCasinoEvents(benchCasino(f.players, 1), "bench", func(ev *pb.Event) bool { return ev.GetType() == "bet.placed" })
	if err != nil {
		return err
	}
	if f.warmUp > 0 {
		newDecideLoad(conn, f.rate, events.next).run(ctx, f.warmUp)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "decide\tsent/s\tp50\tp95\tp99\tp99.9\tmax\tdegraded\tfailed\tgenerator p99\t\n")
	var runs []*loadResult
	for i := 0; i < f.runs && ctx.Err() == nil; i++ {
		r := newDecideLoad(conn, f.rate, events.next).run(ctx, f.duration)
		runs = append(runs, r)
		fmt.Fprintf(w, "run %d\t%.0f\t%v\t%v\t%v\t%v\t%v\t%d\t%d\t%v\t\n", i+1, r.rate(), r.quantile(50), r.quantile(95), r.quantile(99),
			r.quantile(99.9), r.quantile(100), r.degraded, r.failed, quantile(r.began, 99))
		if r.firstErr != nil {
			return errors.Join(w.Flush(), fmt.Errorf("a call failed: %w", r.firstErr))
		}
	}
	if len(runs) == 0 {
		return ctx.Err()
	}
	pick := func(q float64, which func([]time.Duration) time.Duration) time.Duration {
		var all []time.Duration
		for _, r := range runs {
			all = append(all, r.quantile(q))
		}
		slices.Sort(all)
		return which(all)
	}
	median := func(d []time.Duration) time.Duration { return d[len(d)/2] }
	worst := func(d []time.Duration) time.Duration { return d[len(d)-1] }
	fmt.Fprintf(w, "median\t\t%v\t%v\t%v\t%v\t%v\t\t\t\t\n", pick(50, median), pick(95, median), pick(99, median), pick(99.9, median), pick(100, median))
	fmt.Fprintf(w, "worst\t\t%v\t%v\t%v\t%v\t%v\t\t\t\t\n", pick(50, worst), pick(95, worst), pick(99, worst), pick(99.9, worst), pick(100, worst))
	if err := w.Flush(); err != nil {
		return err
	}
	return s.report(ctx, out, events.active())
}

func benchIngest(ctx context.Context, out io.Writer, f benchFlags) error {
	var rates []float64
	for i := 0; i < f.runs && ctx.Err() == nil; i++ {
		rate, err := ingestRun(ctx, f, uint64(i+1))
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "ingest run %d: %d events, %.0f/s\n", i+1, f.events, rate)
		rates = append(rates, rate)
	}
	if len(rates) == 0 {
		return ctx.Err()
	}
	slices.Sort(rates)
	fmt.Fprintf(out, "ingest median %.0f/s, worst %.0f/s\n", rates[(len(rates)-1)/2], rates[0])
	return nil
}

// ingestRun fills a broker, starts a server on it, and times from its first event to its last.
func ingestRun(ctx context.Context, f benchFlags, seed uint64) (rate float64, err error) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "pitboss.events", "pitboss.events.dead"))
	if err != nil {
		return 0, fmt.Errorf("cannot start the in-process broker: %w", err)
	}
	defer broker.Close()
	events, err := newCasinoEvents(benchCasino(f.players, seed), fmt.Sprintf("ingest-%d", seed), nil)
	if err != nil {
		return 0, err
	}
	sink, err := newKafkaSink(ctx, broker.ListenAddrs(), "pitboss.events")
	if err != nil {
		return 0, err
	}
	for range f.events {
		if err = sink.write(events.next()); err != nil {
			return 0, errors.Join(err, sink.close())
		}
	}
	err = sink.close()
	if err != nil {
		return 0, err
	}
	s, err := startServer(ctx, broker.ListenAddrs())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	return s.awaitEvents(ctx, uint64(f.events))
}

// awaitEvents waits until the server has read n records, and gives how many a second it applied.
func (s *childServer) awaitEvents(ctx context.Context, n uint64) (float64, error) {
	var began time.Time
	var before float64
	deadline := time.Now().Add(5 * time.Minute)
	for time.Now().Before(deadline) {
		m, err := s.metrics(ctx)
		if err != nil {
			return 0, err
		}
		read := m["pitboss_feed_records_total"]
		if began.IsZero() && read > 0 {
			began, before = time.Now(), read
		}
		if read >= float64(n) {
			if dead := m["pitboss_feed_dead_letters_total"]; dead > 0 {
				return 0, fmt.Errorf("%.0f of %d events became dead letters", dead, n)
			}
			return (read - before) / max(time.Since(began).Seconds(), 1e-3), nil
		}
		if !sleepUntil(ctx, time.Now().Add(100*time.Millisecond)) {
			return 0, ctx.Err()
		}
	}
	return 0, fmt.Errorf("the server did not read %d events in 5 minutes", n)
}

// report prints what the server holds, for each player who was active.
func (s *childServer) report(ctx context.Context, out io.Writer, players int) error {
	if !sleepUntil(ctx, time.Now().Add(benchCheckpoint)) { // so that all of them are on disk
		return ctx.Err()
	}
	m, err := s.metrics(ctx)
	if err != nil {
		return err
	}
	journal, err1 := diskUse(filepath.Join(s.dir, "data", "journal"))
	state, err2 := diskUse(filepath.Join(s.dir, "data", "state"))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	each := func(v float64) float64 { return v / max(float64(players), 1) / 1000 }
	frames := max(m["pitboss_journal_frames_total"], 1)
	fmt.Fprintf(out, "\nserver: %.0f MB resident, %.0f MB Go heap; %d active players, %.0f entities\n", m["process_resident_memory_bytes"]/1e6,
		m["go_memstats_heap_inuse_bytes"]/1e6, players, m["pitboss_features_entities"])
	fmt.Fprintf(out, "for each active player, with all entities that its events name: %.1f KB of memory, %.1f KB of state on disk\n",
		each(m["pitboss_features_entities_bytes"]), each(float64(state)))
	fmt.Fprintf(out, "journal: %.0f bytes a decision with its event, not yet compressed\n\n", float64(journal)/frames)
	return nil
}

// diskUse adds up what the files under a directory take on disk: Badger makes its logs larger than they are full.
func diskUse(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // Badger or the journal has put another file in its place
		}
		if err != nil {
			return err
		}
		sum += allocated(info)
		return nil
	})
	return sum, err
}
