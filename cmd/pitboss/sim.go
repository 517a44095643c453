package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pitboss/sim"
)

// simFlags are what `pitboss sim` can be told.
type simFlags struct {
	cfg        sim.Config
	start      string
	out, truth string
	brokers    []string
	topic      string
	speed      float64
	events     uint64
	// agents are NAME=SHARE; only leaves out all others.
	agents    []string
	only      bool
	mimicry   float64
	scenarios []string
	faults    bool
	// parquet is a directory, grpc a server's address, key its key; adaptive lives with the server's decisions.
	parquet, grpc, key string
	adaptive           bool
	// resume goes on with files that are there, skip leaves the first events out; trouble is stop or wait.
	resume  bool
	skip    uint64
	trouble string
}

// What to do when a disk is full, or a broker or server gone.
const (
	troubleStop = "stop"
	troubleWait = "wait"
)

func newSimCmd() *cobra.Command {
	f := simFlags{cfg: sim.DefaultConfig()}
	cmd := &cobra.Command{
		Use:   "sim --out events.jsonl [--truth truth.jsonl] | --parquet DIR | --brokers HOST:PORT | --grpc HOST:PORT",
		Short: "Write the events of a simulated casino, with known frauds in it",
		Long: `Simulates a casino: honest players, honest players who look like frauds, and frauds of thirteen kinds. The same seed and
settings give the same bytes on any machine. The truth about each event goes to a file of its own; nothing of it is in
the events.

With --adaptive the casino asks the server of --grpc about bets, payments, accounts and bonuses, and lives with the answers:
what is stopped does not happen, throttled players slow down, challenged frauds pay a solver or give up, blocked ones
come back as somebody new, and honest players are annoyed and some leave.

A full disk, or a broker or server that is gone, stops the run, or with --on-trouble wait makes it wait. --resume goes on
with files at the byte where they end, and refuses those of another seed or other settings; --skip leaves out what the
message of a stopped run says has arrived.

Everything measured on this is measured on simulated data.`,
		Example: `  pitboss sim --players 500 --duration 24h --out events.jsonl --truth truth.jsonl
  pitboss sim --brokers 127.0.0.1:9092 --topic pitboss.events --speed 60
  pitboss sim --only --agent backdoor=0.02 --mimicry 0.5 --faults --out events.jsonl
  pitboss sim --grpc 127.0.0.1:9090 --key pb_... --adaptive`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSim(cmd.Context(), cmd.ErrOrStderr(), f) },
	}
	fl := cmd.Flags()
	f.worldFlags(cmd)
	fl.BoolVar(&f.faults, "faults", false, "with the usual faults of transport: duplicates, late, lost and out of order, clocks that are off")
	fl.StringVar(&f.parquet, "parquet", "", "directory of the events as Parquet files, by type and day; must not exist")
	fl.StringVar(&f.grpc, "grpc", "", "send to a pitboss server at this address instead")
	fl.StringVar(&f.key, "key", "", "the server's key; default: PITBOSS_KEY")
	fl.BoolVar(&f.adaptive, "adaptive", false, "ask the server of --grpc about acts, and live with the answers")
	fl.BoolVar(&f.resume, "resume", false, "go on with --out and --truth where they end")
	fl.Uint64Var(&f.skip, "skip", 0, "do not send the first so many events")
	fl.StringVar(&f.trouble, "on-trouble", troubleStop, "stop or wait, when the disk is full or broker or server gone")
	fl.StringVar(&f.out, "out", "", "file of the events as JSON lines; - is standard output")
	fl.StringVar(&f.truth, "truth", "", "file of the truth as JSON lines")
	fl.StringSliceVar(&f.brokers, "brokers", nil, "send to Kafka at these addresses instead")
	fl.StringVar(&f.topic, "topic", "pitboss.events", "Kafka topic")
	fl.Float64Var(&f.speed, "speed", 0, "1 is real time, 60 an hour a minute, 0 as fast as can be")
	cmd.AddCommand(newSimReportCmd())
	return cmd
}

// worldFlags are those that say what is simulated.
func (f *simFlags) worldFlags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.Uint64Var(&f.cfg.Seed, "seed", f.cfg.Seed, "decides everything that chance decides")
	fl.IntVar(&f.cfg.Players, "players", f.cfg.Players, "accounts, honest and fraudulent")
	fl.StringVar(&f.start, "start", f.cfg.Start.Format(time.RFC3339), "first moment (RFC 3339)")
	fl.DurationVar(&f.cfg.Duration, "duration", f.cfg.Duration, "how long the casino is watched; 0 is without end")
	fl.Float64Var(&f.cfg.Activity, "activity", f.cfg.Activity, "multiplies how often players play")
	fl.Float64Var(&f.cfg.NewShare, "new-share", f.cfg.NewShare, "share of honest accounts that are opened while the casino is watched")
	fl.StringVar(&f.cfg.Tenant, "tenant", f.cfg.Tenant, "tenant of all events")
	fl.StringSliceVar(&f.agents, "agent", nil, "NAME=SHARE: share of accounts that are such frauds (docs/sim.md names them); may be repeated")
	fl.BoolVar(&f.only, "only", false, "no frauds but those that --agent names")
	fl.StringSliceVar(&f.scenarios, "scenario", nil, "KIND@AFTER, such as campaign@48h: bot_tier, campaign, launch, currency, weekend; may be repeated")
	fl.Float64Var(&f.mimicry, "mimicry", -1, "how well every fraud hides, 0 (crude) to 1; default: drawn for each")
	fl.Uint64Var(&f.events, "events", 0, "stop after this many events; 0 is no limit")
}

func (f *simFlags) complete() error {
	if err := f.destination(); err != nil {
		return &codedError{exitUsage, err}
	}
	return f.completeWorld()
}

// completeWorld reads what the flags say of the casino.
func (f *simFlags) completeWorld() error {
	start, err := time.Parse(time.RFC3339, f.start)
	if err != nil {
		return &codedError{exitUsage, fmt.Errorf("--start: %w", err)}
	}
	f.cfg.Start = start
	if err := f.mix(); err != nil {
		return &codedError{exitUsage, err}
	}
	if f.speed < 0 {
		return &codedError{exitUsage, fmt.Errorf("--speed: %v is negative", f.speed)}
	}
	return nil
}

// mix sets who plays, and what happens meanwhile.
func (f *simFlags) mix() error {
	frauds := &f.cfg.Mix.Frauds
	if f.only {
		for t := range frauds {
			frauds[t].Share = 0
		}
	}
	for _, a := range f.agents {
		name, value, ok := strings.Cut(a, "=")
		if !ok {
			return fmt.Errorf("--agent: %q: must be NAME=SHARE", a)
		}
		t, err := sim.ParseTypology(name)
		if err != nil {
			return fmt.Errorf("--agent: %w", err)
		}
		if frauds[t].Share, err = strconv.ParseFloat(value, 64); err != nil {
			return fmt.Errorf("--agent %s: %q is no number", name, value)
		}
	}
	if f.mimicry >= 0 {
		for t := range frauds {
			frauds[t].Mimicry = sim.Range{Min: f.mimicry, Max: f.mimicry}
		}
	}
	for _, sc := range f.scenarios {
		kind, after, _ := strings.Cut(sc, "@")
		one := sim.Scenario{Kind: kind}
		if after != "" {
			var err error
			if one.After, err = time.ParseDuration(after); err != nil {
				return fmt.Errorf("--scenario %s: %w", kind, err)
			}
		}
		f.cfg.Scenarios = append(f.cfg.Scenarios, one)
	}
	return nil
}

// destination checks where the events go.
func (f *simFlags) destination() error {
	n := 0
	for _, given := range []bool{f.out != "", f.parquet != "", len(f.brokers) > 0, f.grpc != ""} {
		if given {
			n++
		}
	}
	switch {
	case n != 1:
		return errors.New("say where to: one of --out FILE, --parquet DIR, --brokers HOST:PORT, --grpc HOST:PORT")
	case f.trouble != troubleStop && f.trouble != troubleWait:
		return fmt.Errorf("--on-trouble: %q: must be stop or wait", f.trouble)
	case f.adaptive && f.grpc == "":
		return errors.New("--adaptive: needs --grpc, the server that decides")
	case f.adaptive && (f.faults || f.skip > 0):
		return errors.New("--adaptive: not with --faults or --skip: an answer is about an event that has just happened")
	case f.resume && (f.out == "" || f.out == "-"):
		return errors.New("--resume: needs --out FILE")
	}
	return nil
}

// simStream is the casino's events as they arrive: at once, or with faults.
type simStream struct {
	casino *sim.Sim
	wire   *sim.Wire
}

// openSimStream makes the casino.
func openSimStream(f simFlags) (*simStream, error) {
	casino, err := sim.New(f.cfg)
	if err != nil || !f.faults {
		return &simStream{casino: casino}, err
	}
	wire, err := sim.NewWire(casino, sim.UsualFaults())
	return &simStream{casino, wire}, err
}

func (s *simStream) next() (sim.Delivery, bool) {
	if s.wire != nil {
		return s.wire.Next()
	}
	ev, ok := s.casino.Next()
	if !ok {
		return sim.Delivery{}, false
	}
	return sim.Delivery{Event: ev, Truth: s.casino.Truth(), At: ev.GetOccurredAt().AsTime()}, true
}

func runSim(ctx context.Context, stderr io.Writer, f simFlags) (err error) {
	err = f.complete()
	if err != nil {
		return err
	}
	stream, err := openSimStream(f)
	if err != nil {
		return err
	}
	sink, err := openSimSink(ctx, f, stream.casino)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sink.close()) }()
	truth, err := openTruth(ctx, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, truth.close()) }()

	// Nearly all of the heap is events that are gone at once: collecting it less often saves a fifth of the time and costs
	// some tens of megabytes.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	bar := newProgress(stderr, "simulating", f.cfg.Duration.Milliseconds(), unitSimTime)
	defer printUse(stderr, bar, cpuTime())
	defer bar.finish()
	began := time.Now()
	for n := uint64(0); n < f.events || f.events == 0; n++ {
		d, ok := stream.next()
		if !ok {
			break
		}
		bar.set(d.At.Sub(f.cfg.Start).Milliseconds(), n+1)
		if n < f.skip {
			continue
		}
		if !sleepUntil(ctx, began.Add(f.cfg.Due(d.At, f.speed))) {
			break
		}
		if err := errors.Join(sink.write(d.Event), truth.write(d.Truth)); err != nil {
			return err
		}
	}
	if f.adaptive {
		printAnswers(stderr, stream.casino.Answers())
	}
	return nil
}

// printUse says what a run took of the machine.
func printUse(out io.Writer, bar *progress, before time.Duration) {
	used := cpuTime() - before
	fmt.Fprintf(out, "%v of the processors, %.0f events for each second of them; at most %d MB resident\n", used.Round(time.Millisecond),
		float64(bar.events)/max(used.Seconds(), 1e-3), peakMemory()/1e6)
}

// printAnswers says what became of the server's answers.
func printAnswers(out io.Writer, a sim.Answers) {
	fmt.Fprintf(out, "%d answers: %d acts stopped, %d challenged\n", a.Given, a.Stopped, a.Challenged)
	fmt.Fprintf(out, "honest players: %d acts stopped, %d challenged; %d left for good\n", a.HonestStopped, a.HonestChallenged, a.HonestLeft)
	fmt.Fprintf(out, "frauds: %d challenges solved, %d not; %d came back with a new account; saved %d minor units, spent on solvers %d\n",
		a.Solved, a.Gave, a.Returned, a.SavedMinor, a.SpentMinor)
}

// sleepUntil waits for a moment and says whether to go on.
func sleepUntil(ctx context.Context, t time.Time) bool {
	d := time.Until(t)
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
