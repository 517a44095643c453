package feed_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"pitboss/features"
	"pitboss/features/feed"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/sim"
)

// A process that reads Kafka into a journal in files and states in Badger is killed again and again, at any moment and
// between any two steps, and started again. What it makes of the topic must be what a process makes that nobody kills:
// the same events, each once, the same features of every entity, the same offsets, and no dead letter lost.

func TestCrashFeedOnKfake(t *testing.T) { killAgainAndAgain(t, newFake(t)) }

func TestCrashFeedOnKafka(t *testing.T) { killAgainAndAgain(t, realKafka(t)) }

const (
	crashPartitions = 4
	// eventsPerRound is how many records come in each round, and compareEvery after how many rounds all is compared.
	eventsPerRound = 300
	compareEvery   = 20
)

func killAgainAndAgain(t *testing.T, kafka *broker) {
	t.Helper()
	seed, rounds := seedAndRounds(t, 2)
	rng := rand.New(rand.NewPCG(seed, 0xfeed))
	r := newRig(t, kafka) // its engine is the one that nobody kills
	reference := r.cfg
	reference.Group, reference.DeadLetterTopic = reference.Group+"-reference", reference.DeadLetterTopic+"-reference"
	spec := childSpec{Brokers: kafka.addrs, Topic: r.topic(), Dir: t.TempDir()}
	kafka.create(t, crashPartitions, r.topic())
	stream := newStream(t, r, rng, seed)

	killed := r.cfg
	r.cfg = reference
	run := r.start()
	for round := range rounds {
		half := stream.take(eventsPerRound / 2)
		kafka.send(t, half...)
		c := startChild(t, spec.dyingAt(rng))
		kafka.send(t, stream.take(eventsPerRound-len(half))...)
		c.killAfter(rng)
		if (round+1)%compareEvery == 0 || round+1 == rounds {
			compareWithReference(t, r, killed, spec, stream, rng.IntN(2) == 0)
		}
	}
	run.stop()
}

// seedAndRounds gives where the randomness starts and how often a random test runs.
func seedAndRounds(t *testing.T, few int) (seed uint64, rounds int) {
	t.Helper()
	seed, rounds = uint64(time.Now().UnixNano()), few
	for name, set := range map[string]func(uint64){
		"PITBOSS_SEED": func(v uint64) { seed = v }, "PITBOSS_ROUNDS": func(v uint64) { rounds = int(v) },
	} {
		text := os.Getenv(name)
		if text == "" {
			continue
		}
		v, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		set(v)
	}
	t.Logf("run again with PITBOSS_SEED=%d PITBOSS_ROUNDS=%d", seed, rounds)
	return seed, rounds
}

// stream makes records out of a simulated casino: its events, some of them again, and what cannot be accepted. What is
// wrong with a record never depends on another partition, whose records may come before or after.
type stream struct {
	t    *testing.T
	r    *rig
	rng  *rand.Rand
	sim  *sim.Sim
	sent [crashPartitions][]*pb.Event
	next [crashPartitions]int64
	// dead are the records that must become dead letters, by their place, with the reason.
	dead map[string]string
	// events are the ids that must be applied.
	events map[string]bool
}

func newStream(t *testing.T, r *rig, rng *rand.Rand, seed uint64) *stream {
	t.Helper()
	cfg := sim.DefaultConfig()
	cfg.Seed, cfg.Players, cfg.Activity, cfg.Start, cfg.Duration, cfg.Tenant = seed, 2000, 3, start, 0, tenant
	casino, err := sim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &stream{t: t, r: r, rng: rng, sim: casino, dead: map[string]string{}, events: map[string]bool{}}
}

func (s *stream) take(n int) []*kgo.Record {
	records := make([]*kgo.Record, 0, n)
	for range n {
		records = append(records, s.one())
	}
	return records
}

func (s *stream) one() *kgo.Record {
	p := int32(s.rng.IntN(crashPartitions))
	var old *pb.Event
	if len(s.sent[p]) > 0 {
		old = proto.CloneOf(s.sent[p][s.rng.IntN(len(s.sent[p]))])
	}
	switch dice := s.rng.IntN(100); {
	case dice < 3:
		return s.add(p, s.r.raw(p, start, []byte{0xff, byte(dice)}), "UNDECODABLE")
	case dice < 8 && old != nil:
		return s.add(p, s.r.record(p, old), "")
	case dice < 11 && old != nil:
		old.Brand = "another" // of the content, and no feature reads it
		return s.add(p, s.r.record(p, old), "CONFLICT")
	case dice < 13 && old != nil && old.GetTransactionId() != "":
		old.EventId += "-again"
		return s.add(p, s.r.record(p, old), "DUPLICATE_TRANSACTION")
	}
	ev, ok := s.sim.Next()
	if !ok {
		s.t.Fatal("the casino has closed")
	}
	// The events of a player keep their partition, as producers that key by player do it.
	key := uint32(2166136261)
	for _, b := range sim.Key(ev) {
		key = (key ^ uint32(b)) * 16777619
	}
	p = int32(key % crashPartitions)
	s.sent[p] = append(s.sent[p], proto.CloneOf(ev))
	s.events[ev.GetEventId()] = true
	return s.add(p, s.r.record(p, ev), "")
}

func (s *stream) add(p int32, rec *kgo.Record, dead string) *kgo.Record {
	if dead != "" {
		s.dead[fmt.Sprintf("%s/%d/%d", s.r.topic(), p, s.next[p])] = dead
	}
	s.next[p]++
	return rec
}

// compareWithReference lets a child read to the end, and compares its directory with the engine that nobody killed.
func compareWithReference(t *testing.T, r *rig, killed feed.Config, spec childSpec, s *stream, cleanly bool) {
	t.Helper()
	r.caughtUp()
	c := startChild(t, spec)
	theirs := *r
	theirs.cfg = killed
	theirs.wantCommitted(ends(s))
	if cleanly {
		c.terminate()
	} else {
		c.kill()
	}
	j, st, engine := openDirectory(t, spec.Dir, r.set)
	theirs.engine, theirs.journal = engine, j
	compareFrames(t, r, &theirs, s)
	compareFeatures(t, r, &theirs)
	compareDedupe(t, &theirs)
	compareOffsets(t, &theirs, s)
	compareLetters(t, &theirs, s)
	if err := errors.Join(engine.Close(), st.Close(), j.Close()); err != nil {
		t.Fatal(err)
	}
}

func ends(s *stream) map[int32]int64 {
	ends := map[int32]int64{}
	for p, next := range s.next {
		if next > 0 {
			ends[int32(p)] = next
		}
	}
	return ends
}

func compareFrames(t *testing.T, r, theirs *rig, s *stream) {
	t.Helper()
	content := func(frames []*pb.EventFrame) map[string]string {
		got := map[string]string{}
		for _, f := range frames {
			id := f.GetEvent().GetEventId()
			if _, ok := got[id]; ok {
				t.Errorf("event %s was applied twice", id)
			}
			got[id] = fmt.Sprintf("%x received %d", f.GetContentHash(), f.GetEvent().GetReceivedAt().AsTime().UnixMicro())
		}
		return got
	}
	got, want := content(theirs.frames()), content(r.frames())
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the killed one applied other events (-want +got):\n%s", diff)
	}
	if len(want) != len(s.events) {
		t.Errorf("%d events were applied, want the %d of the casino", len(want), len(s.events))
	}
}

// compareFeatures compares every feature of every entity, at its last event and later.
func compareFeatures(t *testing.T, r, theirs *rig) {
	t.Helper()
	refs, last := map[features.EntityKey]features.EntityRef{}, map[features.EntityKey]int64{}
	kinds := newKinds(t)
	for _, f := range r.frames() {
		var ev features.Event
		if err := features.Decode(kinds, f.GetEvent(), &ev); err != nil {
			t.Fatal(err)
		}
		for _, ref := range ev.Entities {
			refs[ref.Key] = ref
			last[ref.Key] = max(last[ref.Key], ev.OccurredAt)
		}
	}
	present := 0
	for _, ref := range refs {
		for _, after := range []time.Duration{0, time.Hour} {
			at := last[ref.Key] + after.Microseconds()
			var got, want features.Vector
			if err := errors.Join(r.engine.Features(t.Context(), ref, at, r.set, &want), theirs.engine.Features(t.Context(), ref, at, r.set, &got)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.Values, got.Values, cmpopts.EquateNaNs()); diff != "" {
				t.Errorf("features of %s %s (-want +got):\n%s", ref.Kind, ref.Alias, diff)
			}
			if diff := cmp.Diff(want.Status, got.Status); diff != "" {
				t.Errorf("statuses of %s %s (-want +got):\n%s", ref.Kind, ref.Alias, diff)
			}
			for i, v := range want.Values {
				if v != 0 && want.Status[i] == features.Present {
					present++
				}
			}
		}
	}
	if present < 25 {
		t.Errorf("%d entities have %d values: too little was compared", len(refs), present)
	}
	t.Logf("compared %d entities, %d values that are not 0", len(refs), present)
}

// compareDedupe offers every event again.
func compareDedupe(t *testing.T, theirs *rig) {
	t.Helper()
	kinds := newKinds(t)
	for _, f := range theirs.frames() {
		var ev features.Event
		if err := features.Decode(kinds, f.GetEvent(), &ev); err != nil {
			t.Fatal(err)
		}
		slot, err := theirs.engine.Admit(t.Context(), &ev)
		if err != nil {
			t.Fatalf("event %s, offered again: %v", ev.ID, err)
		}
		if _, known := slot.Known(); !known {
			t.Errorf("event %s was applied and is not known", ev.ID)
		}
		slot.Release()
	}
}

func compareOffsets(t *testing.T, theirs *rig, s *stream) {
	t.Helper()
	got := map[int32]int64{}
	for _, at := range theirs.engine.Offsets() {
		got[at.GetPartition()] = at.GetOffset() + 1
	}
	if diff := cmp.Diff(ends(s), got); diff != "" {
		t.Errorf("offsets (-want +got):\n%s", diff)
	}
}

func compareLetters(t *testing.T, theirs *rig, s *stream) {
	t.Helper()
	got := map[string]string{}
	for at, letter := range theirs.letters() {
		got[at] = letter.Reason
	}
	if diff := cmp.Diff(s.dead, got); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

// openDirectory opens what a child left, without running it.
func openDirectory(t testing.TB, dir string, set *features.Set) (journal.Journal, features.States, *features.Engine) {
	t.Helper()
	j, s, engine, err := openFiles(dir, set, newKinds(t), manySteps)
	if err != nil {
		t.Fatal(err)
	}
	return j, s, engine
}
