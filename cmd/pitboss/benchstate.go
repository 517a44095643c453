package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"text/tabwriter"
	"time"

	"pitboss/bench"
	"pitboss/features"
	"pitboss/features/edge"
	"pitboss/features/states"
)

// checkedPlayers are those for whom built state is compared with ingested.
const checkedPlayers = 10_000

// state builds the state of many players, and measures what it takes on disk and in memory, and a start.
func (b *storeBench) state(ctx context.Context) error {
	n, err := b.players.CheckBuilder(ctx, b.set, min(checkedPlayers, b.f.statePlayers))
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "state: of %d players, %d entities are byte for byte the same, built or ingested\n", min(checkedPlayers, b.f.statePlayers), n)
	return inDir("state", func(dir string) error {
		data := filepath.Join(dir, "data")
		if err := b.build(ctx, data); err != nil {
			return err
		}
		if err := b.sizes(ctx, data); err != nil {
			return err
		}
		for i := range b.f.runs {
			if err := b.start(ctx, dir, i+1); err != nil {
				return err
			}
		}
		if err := b.vectorRun(ctx, data, fmt.Sprintf("of %d players", b.f.statePlayers), b.f.statePlayers, func(*features.EngineConfig) {}); err != nil {
			return err
		}
		return b.bounded(ctx, data)
	})
}

// build makes the state, with progress by players.
func (b *storeBench) build(ctx context.Context, data string) error {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return fmt.Errorf("cannot make the data directory: %w", err)
	}
	bar := newProgress(b.stderr, "state", int64(b.f.statePlayers), unitRows)
	var mu sync.Mutex // guards bar and done
	done, events := 0, 0
	plan := bench.Plan{Players: b.f.statePlayers, Distinct: b.f.distinct, Workers: runtime.GOMAXPROCS(0), Progress: func(players, made int) {
		mu.Lock()
		defer mu.Unlock()
		done, events = done+players, events+made
		bar.set(int64(done), uint64(events)/256*256) // each time is worth showing
	}}
	total, err := b.players.BuildStore(ctx, data, b.set, plan)
	if err != nil {
		return err
	}
	bar.events = uint64(total)
	bar.finish()
	distinct := min(b.f.statePlayers, (b.f.distinct+bench.TenantPlayers-1)/bench.TenantPlayers*bench.TenantPlayers)
	fmt.Fprintf(b.out, "state: %d players, %d of them with events of their own, %.1f each; the others are their copies in other tenants\n",
		b.f.statePlayers, distinct, float64(total)/float64(distinct))
	return nil
}

// sizes shows what the entities of each kind take.
func (b *storeBench) sizes(ctx context.Context, data string) (err error) {
	s, err := states.OpenBadger(states.BadgerConfig{Dir: filepath.Join(data, "state")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	sizes, err := bench.StateSizes(ctx, b.kinds, s)
	if err != nil {
		return err
	}
	disk, err := diskUse(filepath.Join(data, "state"))
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "kind\tentities\tp50\tp90\tp99\tmax\tbytes a player\t\n")
	sum := 0
	for _, k := range b.kinds.All() {
		list := sizes[k.Name]
		if len(list) == 0 {
			continue
		}
		sum += list.Sum()
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%.0f\t\n", k.Name, len(list), list.Quantile(0.5), list.Quantile(0.9), list.Quantile(0.99),
			list.Quantile(1), float64(list.Sum())/float64(b.f.statePlayers))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "state: %.0f bytes a player in all entities, %.0f on disk with Badger's own\n", float64(sum)/float64(b.f.statePlayers),
		float64(disk)/float64(b.f.statePlayers))
	return nil
}

// start times a server from its start to its first ready answer.
func (b *storeBench) start(ctx context.Context, dir string, run int) error {
	s, err := b.childOn(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "start run %d: ready after %v\n", run, s.ready.Round(time.Millisecond))
	return s.end()
}

// childOn runs a server on the fixture's data directory.
func (b *storeBench) childOn(ctx context.Context, dir string) (*childServer, error) {
	addresses := [2]string{}
	for i := range addresses {
		var err error
		if addresses[i], err = freeAddress("127.0.0.1:0"); err != nil {
			return nil, err
		}
	}
	keys := filepath.Join(dir, "alias-keys.yaml")
	if _, err := os.Stat(keys); errors.Is(err, os.ErrNotExist) {
		if err := edge.WriteKeys(keys, bench.Tenant(0)); err != nil {
			return nil, err
		}
	}
	for name, content := range map[string]string{
		"master.key": hex.EncodeToString(bench.MasterKey()) + "\n", "gaming64.yaml": string(bench.Gaming64),
		"pitboss.yaml": fmt.Sprintf(`# Written by pitboss bench.
data_dir: data
master_key_file: master.key
feature_set: gaming64.yaml
edge:
  tenants:
    %s: {base_currency: EUR}
  keys_file: alias-keys.yaml
server:
  http: %s
  grpc: %s
  public_metrics: true
  deadlines: {drain_wait: 0s}
log: {level: warn}
`, bench.Tenant(0), addresses[0], addresses[1]),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return nil, fmt.Errorf("cannot write the server's files: %w", err)
		}
	}
	s := &childServer{dir: dir, http: addresses[0], grpc: addresses[1], ended: make(chan error, 1)}
	err := s.serve(ctx)
	return s, err
}

// boundBytes is the bound on memory that bounded sets.
const boundBytes = 64 << 20

// bounded reads more players than fit, and looks at what is held.
func (b *storeBench) bounded(ctx context.Context, data string) (err error) {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s, err := bench.OpenStore(ctx, data, b.kinds, b.set, func(c *features.EngineConfig) { c.MaxBytes = boundBytes })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	held := int64(0)
	const rounds = 10
	for range rounds {
		if _, err := b.players.Vectors(ctx, s.Engine, b.set, b.f.statePlayers, 2*b.f.vectors); err != nil {
			return err
		}
		held = max(held, s.Engine.Stats().EntityBytes)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	fmt.Fprintf(b.out, "memory: bound %d MB, at most %.1f MB held of %d players read, %.1f MB more heap in use with Badger's tables\n", boundBytes>>20,
		float64(held)/(1<<20), rounds*2*b.f.vectors, float64(after.HeapInuse-before.HeapInuse)/(1<<20))
	return nil
}
