package feed_test

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"pitboss/features"
	"pitboss/features/feed"
	"pitboss/journal"
	"pitboss/sim"
)

// BenchmarkIngest reads b.N events of a simulated casino from kfake through edge, engine, a journal in files and Badger,
// with the casino's feature set:
//
//	go test -run '^$' -bench Ingest -benchtime 200000x ./features/feed
//
// events/s is what the machine gave just now; cpu-us/event is what it cost, of all threads, the broker's among them.
func BenchmarkIngest(b *testing.B) {
	b.Run("protobuf", func(b *testing.B) { benchmarkIngest(b, proto.Marshal) })
	b.Run("json", func(b *testing.B) { benchmarkIngest(b, protojson.Marshal) })
}

func benchmarkIngest(b *testing.B, encode func(proto.Message) ([]byte, error)) {
	b.Helper()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(b.TempDir()), kfake.SeedTopics(4, "events"))
	if err != nil {
		b.Fatal(err)
	}
	defer fake.Close()
	fill(b, fake.ListenAddrs(), encode)
	j, s, engine, err := openFiles(b.TempDir(), newSet(b), newKinds(b), func(*journal.Config, *features.EngineConfig) {})
	if err != nil {
		b.Fatal(err)
	}
	cfg := testConfig(&broker{addrs: fake.ListenAddrs()}, "events")
	cfg.AdvanceEvery, cfg.Timeout, cfg.MaxBatch = time.Second, 5*time.Second, feed.DefaultConfig().MaxBatch
	f, err := feed.New(cfg, engine, newEdge(b), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	cpu := cpuTime(b)
	b.ResetTimer()
	running.Go(func() { _ = engine.Run(ctx) }) // it returns nil
	running.Go(func() { err = f.Run(ctx) })
	for f.Stats().Records < uint64(b.N) {
		pause := time.NewTimer(time.Millisecond)
		<-pause.C
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-us/event")
	cancel()
	running.Wait()
	if stats := f.Stats(); err != nil || stats.Applied != uint64(b.N) {
		b.Errorf("Run ended with %v, stats %+v, want %d events", err, stats, b.N)
	}
	for _, c := range []interface{ Close() error }{engine, s, j} {
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	}
}

// fill puts b.N events of a busy casino into the topic.
func fill(b *testing.B, addrs []string, encode func(proto.Message) ([]byte, error)) {
	b.Helper()
	cfg := sim.DefaultConfig()
	cfg.Players, cfg.Activity, cfg.Start, cfg.Duration, cfg.Tenant = 20_000, 3, start, 0, tenant
	casino, err := sim.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.DefaultProduceTopic("events"), kgo.MaxBufferedRecords(50_000))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	for range b.N {
		ev, ok := casino.Next()
		if !ok {
			b.Fatal("the casino has closed")
		}
		value, err := encode(ev)
		if err != nil {
			b.Fatal(err)
		}
		client.Produce(b.Context(), &kgo.Record{Key: sim.Key(ev), Value: value, Timestamp: ev.GetOccurredAt().AsTime().Add(time.Second)},
			func(_ *kgo.Record, err error) {
				if err != nil {
					b.Error(err)
				}
			})
	}
	if err := client.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
