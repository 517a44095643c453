package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"pitboss/features"
	"pitboss/features/states"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// engineConfig is an engine for the fixture's small states.
func engineConfig(kinds *features.Kinds) features.EngineConfig {
	cfg := features.DefaultEngineConfig()
	cfg.Kinds = kinds
	cfg.OnCheckpoint = func(journal.Pos) {} // the journal is kept
	return cfg
}

// BuildTenant builds the state of a tenant's first players, with copies for others, and says how many events that was.
func (p *Players) BuildTenant(ctx context.Context, b *features.Builder, tenant, players int, copies ...string) (int, error) {
	part := b.Part()
	events := 0
	for n := range players {
		err := p.Events(tenant*TenantPlayers+n, func(ev *features.Event) error {
			part.Add(ev)
			events++
			return nil
		})
		if err != nil || ctx.Err() != nil {
			return events, errors.Join(err, ctx.Err())
		}
	}
	if err := part.Put(ctx, copies...); err != nil {
		return events, fmt.Errorf("cannot build %s: %w", Tenant(tenant*TenantPlayers), err)
	}
	return events, nil
}

// CheckBuilder compares what is built with what ingest makes of the same players' messages, entity by entity and byte
// by byte, and says how many entities that were.
func (p *Players) CheckBuilder(ctx context.Context, set *features.Set, players int) (entities int, err error) {
	cfg := engineConfig(p.kinds)
	built, ingested := states.NewMemory(), states.NewMemory()
	b, err := features.NewBuilder(cfg, built, journal.Pos{Offset: 1}, set)
	if err != nil {
		return 0, fmt.Errorf("cannot check the builder: %w", err)
	}
	for n := 0; n < players; n += TenantPlayers {
		if _, err = p.BuildTenant(ctx, b, n/TenantPlayers, min(players-n, TenantPlayers)); err != nil {
			return 0, err
		}
	}
	if err = p.ingest(ctx, cfg, ingested, set, players); err != nil {
		return 0, fmt.Errorf("cannot check the builder: %w", err)
	}
	want, err := contents(ctx, ingested)
	if err != nil {
		return 0, err
	}
	err = built.Each(ctx, features.EntityKey{}, func(key features.EntityKey, blob []byte) error {
		entities++
		other, ok := want[key]
		if same, failed := features.SameEvents(blob, other); !ok || failed != nil || !same {
			return fmt.Errorf("entity %d %x was built as %x and ingested as %x: %w", key.Kind, key.ID, blob, other, failed)
		}
		delete(want, key)
		return nil
	})
	if err == nil && len(want) > 0 {
		err = fmt.Errorf("%d entities were ingested and not built", len(want))
	}
	return entities, err
}

// ingest has an engine make the state of the first players.
func (p *Players) ingest(ctx context.Context, cfg features.EngineConfig, s features.States, set *features.Set, players int) (err error) {
	j := journal.NewMemory(journal.MemoryConfig{Forget: true})
	e, err := features.OpenEngine(ctx, cfg, j, s, set)
	if err != nil {
		return fmt.Errorf("cannot open an engine: %w", err)
	}
	in := &Ingester{Engine: e, Players: p}
	for n := range players {
		if err := in.Add(ctx, n); err != nil {
			return errors.Join(err, e.Close())
		}
	}
	return errors.Join(in.Flush(ctx), e.Close())
}

// contents reads all of a small state.
func contents(ctx context.Context, s features.States) (map[features.EntityKey][]byte, error) {
	all := map[features.EntityKey][]byte{}
	err := s.Each(ctx, features.EntityKey{}, func(key features.EntityKey, blob []byte) error {
		all[key] = append([]byte(nil), blob...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read a state: %w", err)
	}
	return all, nil
}

// Plan says what BuildStore makes.
type Plan struct {
	// Players is how many there are, Distinct how many of them do things of their own, in whole tenants; the tenants of the
	// others are copies.
	Players, Distinct int
	// Workers build side by side.
	Workers int
	// Progress is told after each tenant, from any worker: the players that are done, with copies, and the events.
	Progress func(players, events int)
}

// tenants gives how many there are, and how many of them are no copies.
func (p Plan) tenants() (all, distinct int) {
	all = (p.Players + TenantPlayers - 1) / TenantPlayers
	return all, min(all, (max(p.Distinct, 1)+TenantPlayers-1)/TenantPlayers)
}

// BuildStore makes a store of players who did all of the fixture's things, with the one frame in its journal that the
// state is of, and says how many events that was, copies left out.
func (p *Players) BuildStore(ctx context.Context, dir string, set *features.Set, plan Plan) (events int, err error) {
	empty, err := OpenStore(ctx, dir, p.kinds, set, NoCheckpoints)
	if err != nil {
		return 0, err
	}
	at := &pb.KafkaOffset{Topic: "fixture", TopicId: make([]byte, 16)}
	if err = errors.Join(empty.Engine.Advance(ctx, []*pb.KafkaOffset{at}), empty.Kill()); err != nil {
		return 0, fmt.Errorf("cannot write the fixture's frame: %w", err)
	}
	if err = os.RemoveAll(stateDir(dir)); err != nil {
		return 0, fmt.Errorf("cannot begin the fixture's state: %w", err)
	}
	s, err := states.OpenBadger(states.BadgerConfig{Dir: stateDir(dir)})
	if err != nil {
		return 0, fmt.Errorf("cannot open the fixture's state: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	b, err := features.NewBuilder(engineConfig(p.kinds), s, journal.Pos{Offset: 1}, set)
	if err != nil {
		return 0, fmt.Errorf("cannot build the fixture: %w", err)
	}
	b.LeaveOutIdle(p.now)
	var group errgroup.Group
	group.SetLimit(plan.Workers)
	var total atomic.Int64
	all, distinct := plan.tenants()
	for tenant := range distinct {
		group.Go(func() error {
			n := min(plan.Players-tenant*TenantPlayers, TenantPlayers)
			var copies []string
			for c := tenant + distinct; c < all; c += distinct {
				copies = append(copies, Tenant(c*TenantPlayers))
			}
			made, failed := p.BuildTenant(ctx, b, tenant, n, copies...)
			total.Add(int64(made))
			plan.Progress(n*(1+len(copies)), made)
			return failed
		})
	}
	if failed := group.Wait(); failed != nil {
		return 0, fmt.Errorf("cannot build the fixture: %w", failed)
	}
	return int(total.Load()), b.Finish()
}

// Sizes are the sizes of entities' blobs on disk, sorted.
type Sizes []int

// Quantile gives the q-th quantile, q from 0 to 1.
func (s Sizes) Quantile(q float64) int {
	if len(s) == 0 {
		return 0
	}
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

// Sum adds them up.
func (s Sizes) Sum() (sum int) {
	for _, n := range s {
		sum += n
	}
	return sum
}

// StateSizes gives the sizes of all entities, by kind.
func StateSizes(ctx context.Context, kinds *features.Kinds, s features.States) (map[string]Sizes, error) {
	sizes := map[features.KindID]Sizes{}
	err := s.Each(ctx, features.EntityKey{}, func(key features.EntityKey, blob []byte) error {
		sizes[key.Kind] = append(sizes[key.Kind], len(blob))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read the fixture's state: %w", err)
	}
	named := map[string]Sizes{}
	for _, k := range kinds.All() {
		if list := sizes[k.ID]; list != nil {
			slices.Sort(list)
			named[k.Name] = list
		}
	}
	return named, nil
}
