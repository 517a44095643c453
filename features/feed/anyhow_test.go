package feed_test

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"pitboss/features"
	"pitboss/features/feed"
	"pitboss/features/states"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/sim"
)

// fewSet is what a house has before it takes the casino's features: a group that the casino has too, one that it has with
// other windows, and one that it does not have.
const fewSet = `
format: 1
name: few
version: "1"
groups:
  bets:   {entity: player, match: {type: bet.placed}}
  logins: {entity: ip, match: {type: auth.login}}
features:
  - {name: bets_1h, group: bets, aggregate: count, window: 1h}
  - {name: logins_24h, group: logins, aggregate: count, window: 24h}
`

// played is one way of playing the events.
type played struct {
	partitions int32
	batch      int
	// again is the share of records that are sent twice, shuffled says that they are sent in any order.
	again    float64
	shuffled bool
	// stops are how often the process ends on the way, cleanly or not.
	stops int
	// upgrade is how the casino's set comes to be there: from the start, while events come in, or by a stop.
	upgrade string
}

const (
	fromTheStart = "from the start"
	bySwitching  = "while events come in"
	byAStop      = "by a stop"
	fromTheTopic = "from the topic, when the journal has forgotten half of it"
)

// TestInterleaveTopic plays one set of events, of which some take others back, through topics with other numbers of
// partitions, in other orders and batches, with records that come again, with ends of the process, and with the feature set
// changed on the way. All features of all entities are the same bytes in the end.
func TestInterleaveTopic(t *testing.T) {
	seed, rounds := seedAndRounds(t, 1)
	kafka := newFake(t)
	for round := range rounds {
		rng := rand.New(rand.NewPCG(seed, uint64(round)))
		events := simulated(t, rng.Uint64(), 800)
		first := play(t, kafka, events, rng, played{partitions: 1, batch: 2000, upgrade: fromTheStart})
		for _, how := range []played{
			{partitions: 1 + rng.Int32N(8), batch: 1, upgrade: fromTheStart},
			{partitions: 1 + rng.Int32N(8), batch: 1 + rng.IntN(50), again: 0.3, shuffled: true, stops: 3, upgrade: fromTheStart},
			{partitions: 1 + rng.Int32N(8), batch: 1 + rng.IntN(50), upgrade: bySwitching},
			{partitions: 1 + rng.Int32N(8), batch: 1 + rng.IntN(2000), again: 0.5, shuffled: true, stops: 2, upgrade: byAStop},
			{partitions: 1 + rng.Int32N(8), batch: 1 + rng.IntN(2000), again: rng.Float64(), shuffled: true, stops: 1 + rng.IntN(4), upgrade: bySwitching},
			{partitions: 1 + rng.Int32N(8), batch: 1 + rng.IntN(2000), again: 0.3, shuffled: true, stops: 1, upgrade: fromTheTopic},
		} {
			if diff := cmp.Diff(first, play(t, kafka, events, rng, how)); diff != "" {
				t.Errorf("played as %+v other features (-first +this):\n%.3000s", how, diff)
			}
		}
		t.Logf("%d events, %d entities", len(events), len(first))
	}
}

// simulated makes events of a casino in which many bets are taken back.
func simulated(t *testing.T, seed uint64, n int) []*pb.Event {
	t.Helper()
	cfg := sim.DefaultConfig()
	cfg.Seed, cfg.Players, cfg.Activity, cfg.Start, cfg.Duration, cfg.Tenant, cfg.Rollbacks = seed, 300, 3, start, 0, tenant, 0.1
	casino, err := sim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var events []*pb.Event
	for range n {
		ev, ok := casino.Next()
		if !ok {
			t.Fatal("the casino has closed")
		}
		events = append(events, ev)
	}
	return events
}

// house is a process that ends and starts again over the same values.
type house struct {
	*rig
	states  features.States
	sides   features.Sides
	sets    []*features.Set
	past    *features.Past
	cancel  context.CancelFunc
	working sync.WaitGroup
}

func (h *house) open() {
	h.t.Helper()
	cfg := features.DefaultEngineConfig()
	cfg.Kinds, cfg.Sides, cfg.MaxEntities, cfg.CheckpointFrames = newKinds(h.t), h.sides, 64, 300
	cfg.OnCheckpoint = func(journal.Pos) {} // the journal stays whole, for backfills
	cfg.Past = h.past
	var err error
	if h.engine, err = features.OpenEngine(h.t.Context(), cfg, h.journal, h.states, h.sets...); err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	h.working.Go(func() { _ = h.engine.Run(ctx) }) // it returns nil
}

// end ends the process; uncleanly it leaves all as it is.
func (h *house) end(cleanly bool) {
	h.t.Helper()
	h.cancel()
	h.working.Wait()
	if cleanly {
		if err := h.engine.Close(); err != nil {
			h.t.Errorf("cannot close: %v", err)
		}
	}
}

// play brings the events to an engine over a topic of their own, and gives the features of every entity.
func play(t *testing.T, kafka *broker, events []*pb.Event, rng *rand.Rand, how played) map[string]string {
	t.Helper()
	few, err := features.CompileSet([]byte(fewSet), "few.yaml", features.CompileOptions{Kinds: newKinds(t)})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, kafka: kafka, edge: newEdge(t), set: newSet(t), journal: journal.NewMemory(journal.MemoryConfig{Forget: true})}
	r.cfg = testConfig(kafka, fmt.Sprintf("played-%x", rng.Uint64()))
	r.cfg.MaxBatch = how.batch
	kafka.create(t, how.partitions, r.topic())
	h := &house{rig: r, states: states.NewMemory(), sides: states.NewMemorySides(), sets: []*features.Set{few}}
	both := []*features.Set{few, r.set}
	if how.upgrade == fromTheStart {
		h.sets = both
	}
	h.open()
	run := r.start()
	records := r.records(events, rng, how)
	for i, part := range slices.Collect(slices.Chunk(records, len(records)/(how.stops+2)+1)) {
		if i == 1 && how.upgrade == bySwitching {
			h.sets = both
			if err := h.engine.Use(t.Context(), both...); err != nil {
				t.Fatal(err)
			}
		}
		kafka.send(t, part...)
		if i > 0 && i <= how.stops { // wherever the feed is with what was sent
			run.stop()
			h.end(rng.IntN(2) == 0)
			if how.upgrade == byAStop {
				h.sets = both
			}
			h.open()
			run = r.start()
		}
	}
	r.caughtUp()
	run.stop()
	entities := r.entities()
	if how.upgrade == fromTheTopic {
		h.forgetHalf()
		h.sets = both
		h.readAgain()
		h.open()
	}
	until(t, "the backfill to end", func() bool { return !h.engine.Backfill().Running() })
	vectors := r.vectors(entities)
	h.end(true)
	return vectors
}

// forgetHalf ends the process and takes the older half of the journal's frames away.
func (h *house) forgetHalf() {
	h.t.Helper()
	h.end(true)
	h.journal.SetFloor(journal.Pos{Offset: h.journal.Head().Offset / 2})
}

// readAgain lets the next start backfill from the topic, too.
func (h *house) readAgain() {
	h.t.Helper()
	reader, err := feed.New(h.cfg, nil, h.edge, logger(h.t))
	if err != nil {
		h.t.Fatal(err)
	}
	h.past = &features.Past{Name: "kafka", Whole: true, Read: reader.ReadPast}
}

// records makes the topic's records: each event at least once.
func (r *rig) records(events []*pb.Event, rng *rand.Rand, how played) []*kgo.Record {
	r.t.Helper()
	var records []*kgo.Record
	for _, ev := range events {
		records = append(records, r.record(rng.Int32N(how.partitions), ev))
		if rng.Float64() < how.again {
			again := r.record(rng.Int32N(how.partitions), ev)
			again.Timestamp = again.Timestamp.Add(time.Duration(rng.IntN(1000)) * time.Millisecond)
			records = append(records, again)
		}
	}
	if how.shuffled {
		rng.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	}
	return records
}

// lastSeen is an entity, and the time of its newest event.
type lastSeen struct {
	ref features.EntityRef
	at  int64
}

// entities gives all that the journal's events name.
func (r *rig) entities() map[features.EntityKey]lastSeen {
	r.t.Helper()
	kinds := newKinds(r.t)
	seen := map[features.EntityKey]lastSeen{}
	for _, f := range r.frames() {
		var ev features.Event
		if err := features.Decode(kinds, f.GetEvent(), &ev); err != nil {
			r.t.Fatal(err)
		}
		for _, ref := range ev.Entities {
			own := features.EntityRef{Key: ref.Key, Kind: strings.Clone(ref.Kind), Alias: strings.Clone(ref.Alias)}
			seen[ref.Key] = lastSeen{own, max(seen[ref.Key].at, ev.OccurredAt)}
		}
	}
	return seen
}

// vectors gives the bits of all features of each entity, at its newest event, and their statuses.
func (r *rig) vectors(entities map[features.EntityKey]lastSeen) map[string]string {
	r.t.Helper()
	vectors := map[string]string{}
	var v features.Vector
	for _, seen := range entities {
		ref := seen.ref
		if err := r.engine.Features(r.t.Context(), ref, seen.at, r.set, &v); err != nil {
			r.t.Fatal(err)
		}
		var b []byte
		for i, x := range v.Values {
			if math.IsNaN(x) {
				x = math.NaN()
			}
			b = append(binary.BigEndian.AppendUint64(b, math.Float64bits(x)), byte(v.Status[i]))
		}
		vectors[ref.Kind+" "+ref.Alias] = hex.EncodeToString(b)
	}
	return vectors
}
