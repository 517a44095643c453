package features_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	"pitboss/features/states"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// wide is a set of 64 features over six entities of an event.
func wide(tb testing.TB) []byte {
	tb.Helper()
	var b bytes.Buffer
	b.WriteString("format: 1\nname: wide\nversion: '1'\ngroups:\n")
	kinds := []string{"player", "device", "ip", "instrument", "game", "session"}
	for _, k := range kinds {
		fmt.Fprintf(&b, "  %s_bets: {entity: %s, match: {type: bet.placed}}\n", k, k)
	}
	b.WriteString("features:\n")
	n := 0
	add := func(format string, args ...any) {
		if n < 64 {
			fmt.Fprintf(&b, "  - {name: f%d, "+format+"}\n", append([]any{n}, args...)...)
			n++
		}
	}
	for _, w := range []string{"1m", "1h", "24h", "30d"} {
		for _, k := range kinds {
			add("group: %s_bets, aggregate: count, window: %s", k, w)
			add("group: %s_bets, aggregate: sum, value: amount_base, window: %s", k, w)
		}
	}
	for _, k := range kinds {
		add("group: %s_bets, aggregate: mean, value: amount_base, window: 24h, current: exclude", k)
		add("group: %s_bets, aggregate: time_since", k)
	}
	add("group: ip_bets, aggregate: distinct, value: player, window: 1h")
	add("group: player_bets, aggregate: distinct, value: game, window: 24h")
	add("aggregate: ratio, numerator: f1, denominator: f13")
	add("aggregate: value, value: amount_base")
	if n != 64 {
		tb.Fatalf("the set has %d features", n)
	}
	return b.Bytes()
}

// stream makes bets of some players, each with its own device and instrument.
type stream struct {
	kinds   *features.Kinds
	rng     *rand.Rand
	players int
	n       int
	all     bool // six entities, else three
}

func (s *stream) next(tb testing.TB) *features.Event {
	tb.Helper()
	s.n++
	p := s.rng.IntN(s.players)
	base := s.rng.Int64N(10_000)
	at := &timestamppb.Timestamp{Seconds: 1_767_225_600 + int64(s.n/100), Nanos: int32(s.n%100) * 10_000_000}
	id := func(kind string, n int) *pb.Identifier {
		return &pb.Identifier{Kind: kind, Value: fmt.Sprintf("%s-%08d", kind, n), Form: pb.Form_FORM_ALIAS}
	}
	msg := &pb.Event{
		EventId: fmt.Sprintf("event-%012d", s.n), Tenant: "acme", Type: "bet.placed", OccurredAt: at, ReceivedAt: at, ProducerId: "wallet-1",
		Entities: []*pb.Identifier{id("player", p), id("device", p), id("ip", p/3)},
		Payload:  &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{Amount: &pb.Money{AmountMinor: base, Currency: "EUR", BaseMinor: &base}, InputMode: "manual"}},
	}
	if s.all {
		msg.Entities = append(msg.Entities, id("instrument", p), id("game", p%50), id("session", p))
	}
	ev := &features.Event{}
	if err := features.Decode(s.kinds, msg, ev); err != nil {
		tb.Fatal(err)
	}
	return ev
}

type bench struct {
	set *features.Set
	e   *features.Engine
	*stream
}

// newBench opens an engine: in memory, or on files with Badger.
func newBench(tb testing.TB, files bool, players int, source []byte) *bench {
	tb.Helper()
	kinds, err := features.NewKinds(nil)
	if err != nil {
		tb.Fatal(err)
	}
	set, err := features.CompileSet(source, "set.yaml", features.CompileOptions{Kinds: kinds})
	if err != nil {
		tb.Fatal(err)
	}
	var j journal.Journal = journal.NewMemory(journal.MemoryConfig{Forget: true})
	var s features.States = states.NewMemory()
	if files {
		cfg := journal.DefaultConfig()
		cfg.Dir, cfg.MasterKey = tb.TempDir(), bytes.Repeat([]byte{7}, 32)
		if j, _, err = journal.OpenFile(cfg); err != nil {
			tb.Fatal(err)
		}
		if s, err = states.OpenBadger(states.BadgerConfig{Dir: tb.TempDir()}); err != nil {
			tb.Fatal(err)
		}
	}
	cfg := features.DefaultEngineConfig()
	cfg.Kinds, cfg.CheckpointEvery = kinds, 10*time.Second
	e, err := features.OpenEngine(context.Background(), cfg, j, s, set)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = e.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		<-done
		for _, c := range []func() error{e.Close, s.Close, j.Close} {
			if err := c(); err != nil {
				tb.Errorf("cannot close: %v", err)
			}
		}
	})
	return &bench{set: set, e: e, stream: &stream{kinds: kinds, rng: rand.New(rand.NewPCG(1, 2)), players: players}}
}

func (b *bench) ingest(tb testing.TB, n int) {
	tb.Helper()
	batch := make([]features.IngestItem, 0, n)
	for range n {
		batch = append(batch, features.IngestItem{Event: b.next(tb)})
	}
	if _, err := b.e.Ingest(context.Background(), batch); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkVector reads 64 features of six entities from memory, with the event on the fly.
func BenchmarkVector(b *testing.B) {
	w := newBench(b, false, 100, wide(b))
	w.all = true
	w.ingest(b, 20_000)
	s, err := w.e.Admit(context.Background(), w.next(b))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Release()
	var v features.Vector
	b.ReportAllocs()
	for b.Loop() {
		if err := w.e.Vector(context.Background(), s, w.set, &v); err != nil {
			b.Fatal(err)
		}
	}
}

// TestVectorAllocatesNothing holds the hot path's promise.
func TestVectorAllocatesNothing(t *testing.T) {
	w := newBench(t, false, 20, wide(t))
	w.all = true
	w.ingest(t, 500)
	s, err := w.e.Admit(context.Background(), w.next(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	var v features.Vector
	read := func() {
		if err := w.e.Vector(context.Background(), s, w.set, &v); err != nil {
			t.Fatal(err)
		}
	}
	read()
	if n := testing.AllocsPerRun(100, read); n != 0 {
		t.Errorf("a vector allocates %v times", n)
	}
}

const three = `
format: 1
name: three
version: "1"
groups:
  player: {entity: player, match: {type: bet.placed}}
  device: {entity: device, match: {type: bet.placed}}
  ip:     {entity: ip, match: {type: bet.placed}}
features:
  - {name: a, group: player, aggregate: count, window: 1m}
  - {name: b, group: player, aggregate: sum, value: amount_base, window: 24h}
  - {name: c, group: player, aggregate: sum, value: amount_base, window: 30d}
  - {name: d, group: player, aggregate: time_since}
  - {name: e, group: device, aggregate: count, window: 1h}
  - {name: f, group: device, aggregate: distinct, value: player, window: 24h}
  - {name: g, group: ip, aggregate: count, window: 1h}
  - {name: h, group: ip, aggregate: distinct, value: player, window: 24h}
`

// BenchmarkIngest applies events of three entities in batches of 500, one wait for the disk each, with checkpoints, on
// files and Badger. Making the events is not counted.
func BenchmarkIngest(b *testing.B) {
	for _, callers := range []int{1, 2} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			w := newBench(b, true, 20_000, []byte(three))
			const size = 500
			batches := make([][]features.IngestItem, (b.N+size-1)/size)
			for i := range batches {
				for range size {
					batches[i] = append(batches[i], features.IngestItem{Event: w.next(b)})
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			start := time.Now()
			done := make(chan error)
			for c := range callers {
				go func() {
					for i := c; i < len(batches); i += callers {
						if _, err := w.e.Ingest(context.Background(), batches[i]); err != nil {
							done <- err
							return
						}
					}
					done <- nil
				}()
			}
			for range callers {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(batches)*size)/time.Since(start).Seconds(), "events/s")
			b.StopTimer()
			s := w.e.Stats()
			b.ReportMetric(float64(s.Checkpoints), "checkpoints")
			b.ReportMetric(float64(s.Throttled), "throttled")
			b.ReportMetric(float64(s.EntityBytes)/float64(s.Entities), "bytes/entity")
		})
	}
}

// BenchmarkDecode makes the one form of an event.
func BenchmarkDecode(b *testing.B) {
	kinds, err := features.NewKinds(nil)
	if err != nil {
		b.Fatal(err)
	}
	s := &stream{kinds: kinds, rng: rand.New(rand.NewPCG(1, 2)), players: 10, all: true}
	ev := s.next(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := features.Decode(kinds, ev.Msg, ev); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRecover opens an engine over a journal of events that no checkpoint has seen.
func BenchmarkRecover(b *testing.B) {
	w := newBench(b, false, 20_000, []byte(three))
	j := journal.NewMemory(journal.MemoryConfig{})
	cfg := features.DefaultEngineConfig()
	cfg.Kinds = w.kinds
	e, err := features.OpenEngine(context.Background(), cfg, j, states.NewMemory(), w.set)
	if err != nil {
		b.Fatal(err)
	}
	w.e = e
	const frames = 50_000
	w.ingest(b, frames)
	for b.Loop() {
		if _, err := features.OpenEngine(context.Background(), cfg, j, states.NewMemory(), w.set); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(frames*b.N)/b.Elapsed().Seconds(), "frames/s")
}
