package feed_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"pitboss/features"
	"pitboss/features/feed"
	"pitboss/features/states"
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
	if present < 100 {
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

// manySteps makes segments and checkpoints small and many, to be killed in.
func manySteps(j *journal.Config, e *features.EngineConfig) {
	j.SegmentBytes, e.CheckpointFrames = 256<<10, 200
}

// openFiles opens journal, states and engine in a directory, with defaults that may be changed.
func openFiles(dir string, set *features.Set, kinds *features.Kinds, change func(*journal.Config, *features.EngineConfig)) (journal.Journal, features.States, *features.Engine, error) {
	jc, cfg := journal.DefaultConfig(), features.DefaultEngineConfig()
	jc.Dir, jc.MasterKey = filepath.Join(dir, "journal"), bytes.Repeat([]byte{7}, 32)
	cfg.Kinds = kinds
	change(&jc, &cfg)
	j, _, err := journal.OpenFile(jc)
	if err != nil {
		return nil, nil, nil, err
	}
	s, err := states.OpenBadger(states.BadgerConfig{Dir: filepath.Join(dir, "states")})
	if err != nil {
		return nil, nil, nil, errors.Join(err, j.Close())
	}
	engine, err := features.OpenEngine(context.Background(), cfg, j, s, set)
	if err != nil {
		return nil, nil, nil, errors.Join(err, s.Close(), j.Close())
	}
	return j, s, engine, nil
}

// childEnv names the environment variable that makes the test binary the process to be killed.
const childEnv = "PITBOSS_FEED_TEST_CHILD"

// childSpec is what the child is told.
type childSpec struct {
	Brokers []string
	Topic   string
	Dir     string
	// DieAt is the step between two calls of the engine at which the process kills itself; 0 is never.
	DieAt int64
}

func (s childSpec) dyingAt(rng *rand.Rand) childSpec {
	s.DieAt = 1 + rng.Int64N(5*eventsPerRound)
	return s
}

// childProcess is a child at work.
type childProcess struct {
	t       *testing.T
	cmd     *exec.Cmd
	stderr  bytes.Buffer
	reading chan struct{} // closed when it reads, or has died before
	exited  chan struct{}
	err     error // of the process; read it after exited
}

func startChild(t *testing.T, spec childSpec) *childProcess {
	t.Helper()
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	c := &childProcess{t: t, cmd: exec.Command(os.Args[0]), reading: make(chan struct{}), exited: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	c.cmd.Stderr = &c.stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.exited)
		lines := bufio.NewScanner(out)
		lines.Scan()
		close(c.reading)
		_, _ = io.Copy(io.Discard, out)
		c.err = c.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.exited
	})
	return c
}

// killAfter kills the child after a random time: while it starts, while it reads, or not before it has killed itself.
func (c *childProcess) killAfter(rng *rand.Rand) {
	c.t.Helper()
	wait := time.Duration(rng.IntN(300)) * time.Millisecond
	if rng.IntN(5) > 0 {
		<-c.reading
	}
	select {
	case <-c.exited:
	case <-time.After(wait):
	}
	c.kill()
}

func (c *childProcess) kill() {
	c.t.Helper()
	_ = c.cmd.Process.Kill() // it may be dead already
	<-c.exited
	if status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		c.t.Fatalf("the child ended by itself: %v\n%s", c.err, c.stderr.String())
	}
}

func (c *childProcess) terminate() {
	c.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
	<-c.exited
	if c.err != nil {
		c.t.Fatalf("the child did not end well: %v\n%s", c.err, c.stderr.String())
	}
}

// mortal is an engine whose process ends at a step.
type mortal struct {
	*features.Engine
	left *atomic.Int64
}

func (m mortal) step() {
	if m.left.Add(-1) != 0 {
		return
	}
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill()
	}
	select {} // nothing happens any more
}

func (m mortal) Admit(ctx context.Context, ev *features.Event) (*features.Slot, error) {
	m.step()
	return m.Engine.Admit(ctx, ev)
}

func (m mortal) Append(ctx context.Context, s *features.Slot, frame *pb.EventFrame) (features.Ticket, error) {
	m.step()
	t, err := m.Engine.Append(ctx, s, frame)
	m.step()
	return t, err
}

func (m mortal) Written(ctx context.Context, t features.Ticket) error {
	m.step()
	err := m.Engine.Written(ctx, t)
	m.step()
	return err
}

func (m mortal) Advance(ctx context.Context, offsets []*pb.KafkaOffset) error {
	m.step()
	err := m.Engine.Advance(ctx, offsets)
	m.step()
	return err
}

// runChild is the process that is killed: it reads until it is told to end, and then ends well.
func runChild(text string) (err error) {
	var spec childSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return err
	}
	p := &partsOfChild{}
	if err := p.open(spec); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	running, cancel := context.WithCancel(context.Background())
	defer cancel()
	var background sync.WaitGroup
	background.Go(func() { _ = p.engine.Run(running) }) // it returns nil
	background.Go(func() { sayWhenReading(running, p.feed) })
	err = p.feed.Run(ctx)
	cancel()
	background.Wait()
	return errors.Join(err, p.engine.Close(), p.states.Close(), p.journal.Close())
}

type partsOfChild struct {
	journal journal.Journal
	states  features.States
	engine  *features.Engine
	feed    *feed.Feed
}

func (p *partsOfChild) open(spec childSpec) error {
	tb := &noTest{}
	e, set := newEdge(tb), newSet(tb)
	var err error
	if p.journal, p.states, p.engine, err = openFiles(spec.Dir, set, newKinds(tb), manySteps); err != nil {
		return err
	}
	cfg := testConfig(&broker{addrs: spec.Brokers}, spec.Topic)
	cfg.MaxBatch = 64 // some batches a round
	left := &atomic.Int64{}
	left.Store(spec.DieAt)
	p.feed, err = feed.New(cfg, mortal{p.engine, left}, e, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	return err
}

// noTest lets a child, which is no test, use what tests use.
type noTest struct{ testing.TB }

func (*noTest) Helper() {}

func (*noTest) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

func sayWhenReading(ctx context.Context, f *feed.Feed) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for f.Status().State != feed.StateReading {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	fmt.Println("reading")
}
