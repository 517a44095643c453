package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	pb "pitboss/proto/pitboss/v1"
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
}

func newSimCmd() *cobra.Command {
	f := simFlags{cfg: sim.DefaultConfig()}
	cmd := &cobra.Command{
		Use:   "sim --out events.jsonl [--truth truth.jsonl] | --brokers HOST:PORT",
		Short: "Write the events of a simulated casino, with known frauds in it",
		Long: `Simulates a casino: honest players, honest players who look like frauds, and frauds of thirteen kinds. The same seed and
settings give the same bytes on any machine. The truth about each event goes to a file of its own; nothing of it is in
the events.

Everything measured on this is measured on simulated data.`,
		Example: `  pitboss sim --players 500 --duration 24h --out events.jsonl --truth truth.jsonl
  pitboss sim --brokers 127.0.0.1:9092 --topic pitboss.events --speed 60`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSim(cmd.Context(), cmd.ErrOrStderr(), f) },
	}
	fl := cmd.Flags()
	fl.Uint64Var(&f.cfg.Seed, "seed", f.cfg.Seed, "decides everything that chance decides")
	fl.IntVar(&f.cfg.Players, "players", f.cfg.Players, "accounts, honest and fraudulent")
	fl.StringVar(&f.start, "start", f.cfg.Start.Format(time.RFC3339), "first moment (RFC 3339)")
	fl.DurationVar(&f.cfg.Duration, "duration", f.cfg.Duration, "how long the casino is watched; 0 is without end")
	fl.Float64Var(&f.cfg.Activity, "activity", f.cfg.Activity, "multiplies how often players play")
	fl.StringVar(&f.cfg.Tenant, "tenant", f.cfg.Tenant, "tenant of all events")
	fl.StringSliceVar(&f.agents, "agent", nil, "NAME=SHARE: share of accounts that are such frauds (docs/sim.md names them); may be repeated")
	fl.BoolVar(&f.only, "only", false, "no frauds but those that --agent names")
	fl.StringSliceVar(&f.scenarios, "scenario", nil, "KIND@AFTER, such as campaign@48h: bot_tier, campaign, launch, currency, weekend; may be repeated")
	fl.Float64Var(&f.mimicry, "mimicry", -1, "how well every fraud hides, 0 (crude) to 1; default: drawn for each")
	fl.StringVar(&f.out, "out", "", "file of the events as JSON lines; - is standard output")
	fl.StringVar(&f.truth, "truth", "", "file of the truth as JSON lines")
	fl.StringSliceVar(&f.brokers, "brokers", nil, "send to Kafka at these addresses instead")
	fl.StringVar(&f.topic, "topic", "pitboss.events", "Kafka topic")
	fl.Float64Var(&f.speed, "speed", 0, "1 is real time, 60 an hour a minute, 0 as fast as can be")
	fl.Uint64Var(&f.events, "events", 0, "stop after this many events; 0 is no limit")
	return cmd
}

func (f *simFlags) complete() error {
	if (f.out == "") == (len(f.brokers) == 0) {
		return &codedError{exitUsage, errors.New("say where to: either --out FILE or --brokers HOST:PORT")}
	}
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

func runSim(ctx context.Context, stderr io.Writer, f simFlags) (err error) {
	err = f.complete()
	if err != nil {
		return err
	}
	casino, err := sim.New(f.cfg)
	if err != nil {
		return err
	}
	sink, err := openSimSink(ctx, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sink.close()) }()
	truth, err := openTruth(f.truth)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, truth.close()) }()

	bar := newProgress(stderr, "simulating", f.cfg.Duration.Milliseconds(), unitSimTime)
	defer bar.finish()
	began := time.Now()
	for casino.Events() < f.events || f.events == 0 {
		ev, ok := casino.Next()
		if !ok {
			break
		}
		if !sleepUntil(ctx, began.Add(f.cfg.Due(ev, f.speed))) {
			return nil
		}
		if err := errors.Join(sink.write(ev), truth.write(casino.Truth())); err != nil {
			return err
		}
		bar.set(ev.GetOccurredAt().AsTime().Sub(f.cfg.Start).Milliseconds(), casino.Events())
	}
	return nil
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

// simSink is where events go.
type simSink interface {
	write(ev *pb.Event) error
	close() error
}

func openSimSink(ctx context.Context, f simFlags) (simSink, error) {
	if len(f.brokers) > 0 {
		return newKafkaSink(ctx, f.brokers, f.topic)
	}
	return openJSONFile(f.out)
}

// jsonFile writes messages as JSON lines.
type jsonFile struct {
	file *os.File
	buf  *bufio.Writer
	json *sim.JSONWriter
}

func openJSONFile(path string) (*jsonFile, error) {
	file := os.Stdout
	if path != "-" {
		var err error
		if file, err = os.Create(path); err != nil {
			return nil, fmt.Errorf("cannot make the file: %w", err)
		}
	}
	buf := bufio.NewWriterSize(file, 1<<18)
	return &jsonFile{file: file, buf: buf, json: sim.NewJSONWriter(buf)}, nil
}

func (j *jsonFile) write(ev *pb.Event) error { return j.json.Write(ev) }

func (j *jsonFile) close() error {
	err := errors.Join(j.json.Flush(), j.buf.Flush())
	if j.file != os.Stdout {
		err = errors.Join(err, j.file.Close())
	}
	return err
}

// truthFile writes truths as JSON lines; without a path it writes nothing.
type truthFile struct{ file *jsonFile }

func openTruth(path string) (*truthFile, error) {
	if path == "" {
		return &truthFile{}, nil
	}
	file, err := openJSONFile(path)
	return &truthFile{file}, err
}

func (t *truthFile) write(truth sim.Truth) error {
	if t.file == nil {
		return nil
	}
	return t.file.json.WriteTruth(truth)
}

func (t *truthFile) close() error {
	if t.file == nil {
		return nil
	}
	return t.file.close()
}

// kafkaSink sends events to a topic, keyed by player, with the time they came up as the record's.
type kafkaSink struct {
	ctx    context.Context //nolint:containedctx // the command's own, for sends that block when the buffer is full
	client *kgo.Client
	topic  string
	failed chan error
	// history gives records the event's own time.
	history bool
}

func newKafkaSink(ctx context.Context, brokers []string, topic string) (*kafkaSink, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic), kgo.AllowAutoTopicCreation(),
		kgo.MaxBufferedRecords(20_000))
	if err != nil {
		return nil, fmt.Errorf("cannot make a kafka client: %w", err)
	}
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("cannot reach kafka at %v: %w", brokers, err)
	}
	return &kafkaSink{ctx: ctx, client: client, topic: topic, failed: make(chan error, 1)}, nil
}

func (k *kafkaSink) write(ev *pb.Event) error {
	value, err := proto.Marshal(ev)
	if err != nil {
		return fmt.Errorf("cannot encode event %q: %w", ev.GetEventId(), err)
	}
	record := &kgo.Record{Topic: k.topic, Key: sim.Key(ev), Value: value}
	if k.history {
		record.Timestamp = ev.GetOccurredAt().AsTime()
	}
	k.client.Produce(k.ctx, record, func(_ *kgo.Record, err error) {
		if err != nil {
			select {
			case k.failed <- err:
			default: // the first one is enough
			}
		}
	})
	select {
	case err := <-k.failed:
		return fmt.Errorf("cannot send to topic %q: %w", k.topic, err)
	default:
		return nil
	}
}

func (k *kafkaSink) close() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(k.ctx), 30*time.Second)
	defer cancel()
	err := k.client.Flush(ctx)
	k.client.Close()
	select {
	case sendErr := <-k.failed:
		err = errors.Join(err, sendErr)
	default:
	}
	if err != nil {
		return fmt.Errorf("cannot send to topic %q: %w", k.topic, err)
	}
	return nil
}
